"""Items of a benchmark: from the hub, from a folder or file here or in a store, checked before anything runs on them.

A source is `hub`, a file, or a folder that holds `NAME.jsonl` (or .parquet, .csv) and, written by `agent0 benchmarks
fetch`, `NAME.manifest.json` beside it. Without one the folder named by AGENT0_BENCHMARKS is the source, and without
that the hub. Worked examples of a protocol lie in `NAME.shots.jsonl`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agent0.benchmarks.row_files import SUFFIXES, read_rows
from agent0.benchmarks.spec import Benchmark, BenchmarkError, Dataset, Item, Row, content_hash, number_items
from agent0.storage import transfer
from agent0.storage.text_files import read_object
from agent0.storage.uri import is_in_s3

ROOT_VARIABLE = "AGENT0_BENCHMARKS"
HUB = "hub"


@dataclass(frozen=True)
class Manifest:
    """What `agent0 benchmarks fetch` wrote about a file: what it came from, and what it must still hold."""

    benchmark: str
    hub_id: str
    revision: str
    rows: int
    sha256: str


@dataclass(frozen=True)
class Loaded:
    """Items in their published order, and the commit that they are known to come from; None where nothing says."""

    items: list[Item]
    revision: str | None


def default_source() -> str:
    """Return the folder or store named by AGENT0_BENCHMARKS, else `hub`."""
    return os.environ.get(ROOT_VARIABLE) or HUB


def load_items(benchmark: Benchmark, source: str | None = None, *, partial: bool = False) -> list[Item]:
    """Return the items of a benchmark alone; see `load_benchmark`."""
    return load_benchmark(benchmark, source, partial=partial).items


def load_benchmark(benchmark: Benchmark, source: str | None = None, *, partial: bool = False) -> Loaded:
    """Return the items of a benchmark, each with an id of its own, and their revision: the hub's or the manifest's.

    Args:
        benchmark: what to load; one that is generated is generated, unless a source is given.
        source: `hub`, a file, or a folder, local or `s3://`; by default `default_source()`.
        partial: accept another number of rows than published, and skip the hash: for a sample of the rows.

    Raises:
        BenchmarkError: nothing there, or the columns, the number of rows, the golds or the hash are not the
            benchmark's own.
        StorageError: the store refuses or does not answer.
    """
    if benchmark.generate is not None and source is None:
        items = number_items(benchmark.generate(benchmark.per_group))
        return Loaded(_checked(benchmark, items, None, "its generator", partial), None)
    place = source or default_source()
    if place == HUB:
        found = _from_hub(benchmark)
        return replace(found, items=_checked(benchmark, found.items, None, place, partial))
    with tempfile.TemporaryDirectory() as temporary:
        path, manifest = _file(benchmark, place, f"{benchmark.name}", Path(temporary))
        items = parse_rows(benchmark, read_rows(path), place if place.endswith(SUFFIXES) else f"{place}/{path.name}")
    checked = _checked(benchmark, items, manifest, place, partial)
    return Loaded(checked, manifest.revision if manifest and manifest.sha256 == content_hash(checked) else None)


def load_shots(benchmark: Benchmark, source: str | None = None) -> list[Item]:
    """Return the items that worked examples are taken from; empty where no protocol shows any.

    Raises:
        BenchmarkError: nothing there, or rows that are not the benchmark's own.
    """
    if not benchmark.dataset.shots_split:
        return []
    place = source or default_source()
    if place == HUB:
        return _from_hub(benchmark, shots=True).items
    if place.endswith(SUFFIXES):
        stem, _, ending = place.rpartition(".")
        place = f"{stem}.shots.{ending}"
    with tempfile.TemporaryDirectory() as temporary:
        path, _ = _file(benchmark, place, f"{benchmark.name}.shots", Path(temporary))
        return parse_rows(benchmark, read_rows(path), str(path.name))


def shots_for(item: Item, shots: Sequence[Item], by: str, count: int) -> list[Item]:
    """Return the first `count` worked examples of the item's own group `by`; of all where `by` is empty."""
    return [shot for shot in shots if not by or shot.groups.get(by) == item.groups.get(by)][:count]


def parse_rows(benchmark: Benchmark, rows: Sequence[Row], place: str) -> list[Item]:
    """Turn rows into items; `place` names them in errors.

    Raises:
        BenchmarkError: no row, a missing column, or a row that cannot be read.
    """
    if not rows:
        raise BenchmarkError(f"{place} has no rows; fetch it again with `agent0 benchmarks fetch {benchmark.name}`.")
    keyed = [_by_role(benchmark.dataset, row, number, place) for number, row in enumerate(rows, start=1)]
    keep = benchmark.dataset.keep
    items = []
    for number, row in enumerate(keyed, start=1):
        if keep is not None and not keep(row):
            continue
        try:
            items.append(benchmark.read(row))
        except (ValueError, TypeError, OverflowError) as error:
            raise BenchmarkError(
                f"Row {number} of {place} is no row of {benchmark.title}: {error}. Mend the row, or fetch the "
                f"benchmark again with `agent0 benchmarks fetch {benchmark.name}`."
            ) from error
    return number_items(items)


def _by_role(dataset: Dataset, row: Row, number: int, place: str) -> dict[str, Any]:
    keyed = {}
    for role, names in dataset.columns.items():
        name = next((name for name in names if row.get(name) is not None), None)
        if name is None and role not in dataset.optional:
            raise BenchmarkError(
                f"Row {number} of {place} has nothing in a column {' or '.join(names)}; its columns are "
                f"{', '.join(map(str, row))}."
            )
        keyed[role] = None if name is None else row[name]
    return keyed


def _from_hub(benchmark: Benchmark, *, shots: bool = False) -> Loaded:
    from agent0.benchmarks.hub_rows import HubError, fetch_rows

    stem = f"{benchmark.name}.shots" if shots else benchmark.name
    try:
        found = fetch_rows(benchmark.dataset, shots=shots)
    except HubError as error:
        raise BenchmarkError(
            f"{error} Without a way to the hub, put {_wanted(benchmark, stem)} into a folder, and name it with --data "
            f"(evaluation.data) or {ROOT_VARIABLE}; `agent0 benchmarks fetch {benchmark.name} --to PLACE` writes them "
            "where there is one."
        ) from error
    return Loaded(parse_rows(benchmark, found.rows, f"{stem} on the hub"), found.revision)


def _wanted(benchmark: Benchmark, stem: str) -> str:
    """Say which file is missing, and what must be in it."""
    dataset = benchmark.dataset
    columns = [names[0] for role, names in dataset.columns.items() if role not in dataset.optional]
    if "gold" in dataset.optional:
        columns.append(" or ".join(dataset.columns[role][0] for role in ("gold", "solution")))
    return f"{stem}.jsonl (or .parquet, .csv) with the columns {', '.join(columns)}"


def _file(benchmark: Benchmark, place: str, stem: str, temporary: Path) -> tuple[Path, Manifest | None]:
    """Return the local file for `stem` at `place`, fetched from a store if need be, and its manifest."""
    stored = is_in_s3(place)
    if place.endswith(SUFFIXES):
        return _local(place, temporary) if stored else Path(place), None
    there = transfer.entries(place) if stored else _names(Path(place))
    name = next((stem + suffix for suffix in SUFFIXES if stem + suffix in there), None)
    if name is None:
        raise BenchmarkError(
            f"{benchmark.title} is not at {place}: put {_wanted(benchmark, stem)} there, or run `agent0 benchmarks "
            f"fetch {benchmark.name} --to {place}` where the hub can be reached."
        )
    described = f"{stem}.manifest.json" in there
    folder = place.rstrip("/")
    if not stored:
        return Path(place) / name, _manifest(Path(place) / f"{stem}.manifest.json") if described else None
    path = _local(f"{folder}/{name}", temporary)
    return path, _manifest(_local(f"{folder}/{stem}.manifest.json", temporary)) if described else None


def _names(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()] if folder.is_dir() else []


def _local(uri: str, temporary: Path) -> Path:
    target = temporary / uri.rpartition("/")[2]
    transfer.get(uri, target)
    return target


def _manifest(path: Path) -> Manifest:
    try:
        return Manifest(**read_object(path, path.name, mended_by="fetch the benchmark again"))
    except TypeError as error:
        raise BenchmarkError(f"{path.name} is no manifest of a fetch: {error}. Fetch the benchmark again.") from error


def _checked(
    benchmark: Benchmark, items: list[Item], manifest: Manifest | None, place: str, partial: bool
) -> list[Item]:
    if partial:
        return items
    dataset = benchmark.dataset
    if len(items) != dataset.rows:
        raise BenchmarkError(
            f"{benchmark.title} at {place} has {len(items)} rows where {dataset.rows} are published; fetch it again, "
            "or say that it is a sample (partial)."
        )
    if manifest is not None and dataset.revision and manifest.revision != dataset.revision:
        raise BenchmarkError(
            f"{benchmark.title} at {place} was fetched at revision {manifest.revision}, and {dataset.revision} is "
            f"pinned; fetch it again with `agent0 benchmarks fetch {benchmark.name} --to {place}`."
        )
    expected = dataset.sha256 or (manifest.sha256 if manifest else None)
    if expected and content_hash(items) != expected:
        raise BenchmarkError(
            f"{benchmark.title} at {place} has the content hash {content_hash(items)[:12]}…, not {expected[:12]}…: a "
            "row was changed, added or reordered. Fetch it again."
        )
    return items
