"""Mirroring benchmarks from the hub to a folder or a store, for clusters without a way to the hub.

Rows are kept whole, with all their columns, so that a canary stays with its data; a manifest beside them pins
revision, number and hash.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agent0.benchmarks.hub_rows import HubRows, fetch_rows
from agent0.benchmarks.loading import Manifest, parse_rows
from agent0.benchmarks.spec import Benchmark, BenchmarkError, Dataset, content_hash
from agent0.storage import transfer

Fetch = Callable[..., HubRows]


def mirror(benchmark: Benchmark, to: str, fetch: Fetch = fetch_rows) -> Manifest:
    """Copy a benchmark, checked, to `to`/NAME.jsonl with its manifest and its shots; return the manifest.

    The manifest is written last: rows without one were not fetched whole.

    Raises:
        BenchmarkError: the benchmark needs no data, or the hub's rows are not what is published.
        StorageError: `to` cannot be written.
    """
    if benchmark.generate is not None:
        raise BenchmarkError(f"{benchmark.title} is generated where it is used; there is nothing to fetch.")
    found = fetch(benchmark.dataset)
    manifest = describe(benchmark, found)
    with tempfile.TemporaryDirectory() as temporary:
        files = {f"{benchmark.name}.jsonl": _lines(found.rows)}
        if benchmark.dataset.shots_split:
            shots = fetch(benchmark.dataset, shots=True)
            parse_rows(benchmark, shots.rows, f"shots of {benchmark.name} on the hub")
            files[f"{benchmark.name}.shots.jsonl"] = _lines(shots.rows)
        files[f"{benchmark.name}.manifest.json"] = json.dumps(asdict(manifest), indent=2) + "\n"
        for name, text in files.items():
            path = Path(temporary) / name
            path.write_text(text, encoding="utf-8")
            transfer.put(path, f"{to.rstrip('/')}/{name}")
    return manifest


def describe(benchmark: Benchmark, found: HubRows) -> Manifest:
    """Return the manifest of fetched rows.

    Raises:
        BenchmarkError: not as many rows as published, a missing column, or a gold outside its form.
    """
    dataset: Dataset = benchmark.dataset
    items = parse_rows(benchmark, found.rows, f"{benchmark.name} on the hub")
    if len(items) != dataset.rows:
        raise BenchmarkError(
            f"{dataset.hub_id} at {found.revision} gives {len(items)} rows, where {dataset.rows} are published; the "
            "data set has changed, so compare with care and pin the revision that you mean."
        )
    return Manifest(benchmark.name, dataset.hub_id, found.revision, len(items), content_hash(items))


def _lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)
