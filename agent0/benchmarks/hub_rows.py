"""Rows from the hub. The packages for it are imported at the first use; a machine without the hub needs neither."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agent0.benchmarks.spec import BenchmarkError, Dataset
from agent0.extras import installing


class HubError(BenchmarkError):
    """The hub does not give a data set."""


@dataclass(frozen=True)
class HubRows:
    """Rows and the commit that they came from."""

    rows: list[dict[str, Any]]
    revision: str


def fetch_rows(dataset: Dataset, *, shots: bool = False) -> HubRows:
    """Return rows and the commit; where no revision is pinned, the newest commit, which the caller records.

    Raises:
        HubError: the packages are missing, or the hub does not give the data.
    """
    try:
        import datasets
        import httpx
        from huggingface_hub import HfApi
    except ImportError as error:
        raise HubError(
            f"{dataset.hub_id} is read with datasets and huggingface_hub, which are not here; {installing('train')}"
        ) from error
    split = dataset.shots_split if shots else dataset.split
    try:
        revision = dataset.revision or str(HfApi().dataset_info(dataset.hub_id).sha)
        parts = [
            datasets.load_dataset(dataset.hub_id, configuration, split=split, revision=revision)
            for configuration in dataset.configurations or (None,)
        ]
    except (httpx.HTTPError, OSError, ValueError, RuntimeError) as error:
        reason = str(error)[:300].strip().removesuffix(".")
        raise HubError(
            f"The hub did not give {dataset.hub_id} (split {split}): {type(error).__name__}: {reason}."
        ) from error
    return HubRows([dict(row) for part in parts for row in part], revision)
