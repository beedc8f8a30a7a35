"""Benchmarks mirrored to a real S3 server and read from it, as on a cluster without a way to the hub."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from agent0.benchmarks.catalogue import benchmark
from agent0.benchmarks.hub_rows import HubRows
from agent0.benchmarks.loading import load_items, load_shots
from agent0.benchmarks.mirror import mirror
from agent0.benchmarks.spec import BenchmarkError, Dataset, content_hash
from agent0.evaluation.contamination import ContaminationIndex, published_items
from agent0.storage import transfer

pytestmark = pytest.mark.integration
pytest.importorskip("boto3", reason="the extra s3 is not installed")


def hub(dataset: Dataset, *, shots: bool = False) -> HubRows:
    first = 100 if shots else 0
    rows = [{"question": f"Which is {n}?", "answer": f"so\n#### {n}"} for n in range(first, first + 5)]
    return HubRows(rows, str(dataset.revision))


def test_a_benchmark_is_mirrored_to_s3_and_read_back_checked(bucket: str, tmp_path: Path) -> None:
    entry = benchmark("gsm8k")
    entry = replace(entry, dataset=replace(entry.dataset, rows=5))
    place = f"s3://{bucket}/sets"
    manifest = mirror(entry, place, hub)
    assert transfer.entries(place) == ["gsm8k.jsonl", "gsm8k.manifest.json", "gsm8k.shots.jsonl"]
    items = load_items(entry, place)
    assert content_hash(items) == manifest.sha256
    assert [shot.gold for shot in load_shots(entry, place)] == ["100", "101", "102", "103", "104"]
    assert ContaminationIndex(published_items(place)).benchmarks == {"gsm8k": 5}

    changed = tmp_path / "gsm8k.jsonl"
    changed.write_text("".join(json.dumps(row) + "\n" for row in reversed(hub(entry.dataset).rows)))
    transfer.put(changed, f"{place}/gsm8k.jsonl")
    with pytest.raises(BenchmarkError, match="a row was changed, added or reordered"):
        load_items(entry, place)
