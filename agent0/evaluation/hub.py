"""Rows from the hub. The packages for it are imported at the first use; a machine without the hub needs neither."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agent0.evaluation.spec import BenchmarkError, Dataset


@dataclass(frozen=True)
class HubRows:
    """Rows and the commit that they came from."""

    rows: list[dict[str, Any]]
    revision: str


def hub_rows(dataset: Dataset, *, shots: bool = False) -> list[dict[str, Any]]:
    """Return the rows of all configurations of a dataset at its pinned revision, or of its shots' split."""
    return fetch_rows(dataset, shots=shots).rows


def fetch_rows(dataset: Dataset, *, shots: bool = False) -> HubRows:
    """Return rows and the commit; where no revision is pinned, the newest commit, which the caller records.

    Raises:
        BenchmarkError: the packages are missing, or the hub does not give the data.
    """
    try:
        import datasets
        import httpx
        from huggingface_hub import HfApi
    except ImportError as error:
        raise BenchmarkError(
            f"{dataset.hub_id} is read with the packages datasets and huggingface_hub; install agent0[train], or set "
            "AGENT0_BENCHMARKS to a folder with the rows."
        ) from error
    split = dataset.shots_split if shots else dataset.split
    try:
        revision = dataset.revision or str(HfApi().dataset_info(dataset.hub_id).sha)
        parts = [
            datasets.load_dataset(dataset.hub_id, configuration, split=split, revision=revision)
            for configuration in dataset.configurations or (None,)
        ]
    except (httpx.HTTPError, OSError, ValueError, RuntimeError) as error:
        raise BenchmarkError(
            f"The hub did not give {dataset.hub_id} (split {split}): {type(error).__name__}: {str(error)[:300]}. Where "
            "there is no way to the hub, set AGENT0_BENCHMARKS to a folder with the rows; `agent0 benchmarks show` "
            "says which file must lie there."
        ) from error
    return HubRows([dict(row) for part in parts for row in part], revision)
