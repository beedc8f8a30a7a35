from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCH = Path(__file__).parents[1] / "bench"
SETTINGS = ["iterations=2"]
RECORD: dict[str, Any] = {
    "settings": SETTINGS,
    "code_version": "0.1.0+0123456789ab",
    "final": 0.5,
    "gain": 0.1,
    "label_accuracy": None,
    "kept": 40,
    "updates": 80,
    "samples": 2_000,
    "minutes": 2.5,
    "traces": {"tool reward": 0.2},
}


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module("ablation_record")


def test_a_record_is_read_as_it_was_written(records: ModuleType, tmp_path: Path) -> None:
    record = records.Record(**RECORD)
    path = tmp_path / "new" / "full-seed-0.json"
    records.write_record(path, record)
    assert records.read_record(path, SETTINGS) == record
    assert records.read_record(tmp_path / "none.json", SETTINGS) is None


def test_a_record_under_other_settings_and_a_file_that_is_none_are_refused(records: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "full-seed-0.json"
    records.write_record(path, records.Record(**RECORD))
    with pytest.raises(SystemExit, match="other settings; choose another --records"):
        records.read_record(path, ["iterations=3"])
    path.write_text("{}")
    with pytest.raises(SystemExit, match="is no record of a run"):
        records.read_record(path, SETTINGS)


def test_the_table_is_made_of_records(records: ModuleType) -> None:
    runs, table = importlib.import_module("ablation_runs"), importlib.import_module("ablation_table")
    variants = importlib.import_module("ablation_variants")
    shown = {name: variants.Variant(name) for name in ("full", "grpo", "single-turn")}
    finals = {("full", 0): 0.5, ("full", 1): 0.6, ("grpo", 0): 0.4, ("grpo", 1): 0.52}
    ended = [runs.Run(*run, records.Record(**RECORD | {"final": final})) for run, final in finals.items()]
    full, grpo, single = table.rows([*ended, runs.Run("single-turn", 0)], shown, planned=2)
    assert full.finals == {0: 0.5, 1: 0.6}
    assert (full.label_accuracy, full.kept) == (None, 40)
    assert grpo.effect is not None
    assert grpo.effect.differences == pytest.approx((-0.1, -0.08))
    assert (single.finals, single.effect) == ({}, None)
