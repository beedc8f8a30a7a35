"""One way from a component to its stage: the sections that the stage names, its folders, its seal."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from kfp.dsl import Dataset, Metrics
from mlflow import MlflowClient

from agent0.config import FilteringSettings, RolloutSettings, load_config
from agent0.errors import UsageError
from agent0.stages import Stage, StageResult, run_stage
from agent0.stages.opening import Beginning, open_evolution
from agent0.stages.session import read_report

CONFIG = load_config("tiny", ["seed=3"])
WIRED = CONFIG.model_dump(mode="json")


@pytest.fixture
def client(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    store = f"sqlite:///{shutil.copy(empty_store, tmp_path / 'store')}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    return MlflowClient(store)


def artifact(folder: Path) -> Dataset:
    folder.mkdir(exist_ok=True)
    (folder / "data").write_text(folder.name)
    return Dataset(name=folder.name, uri=str(folder))


def test_a_stage_is_given_the_sections_that_it_names_and_no_other(client: MlflowClient, tmp_path: Path) -> None:
    told: dict[str, Any] = {}

    def run_making(
        stage: Stage,
        *,
        tasks: Path,
        parts: list[Path],
        output: Path,
        output_uri: str,
        filtering: FilteringSettings,
        rollout: RolloutSettings,
        evaluation: Path,
        extra: str,
    ) -> StageResult:
        told.update(locals())
        return StageResult({"made": 1.0})

    run_id = open_evolution(CONFIG, Beginning(), "", "", "job-1")
    inputs = {
        "tasks": artifact(tmp_path / "tasks"),
        "parts": [artifact(tmp_path / "one"), artifact(tmp_path / "two")],
        "evaluation": artifact(tmp_path / "scores"),  # a folder, though a section has its name
    }
    output, metrics = artifact(tmp_path / "out"), Metrics(uri=str(tmp_path / "metrics"))
    run_stage(run_making, WIRED, 2, run_id, inputs, output, metrics, extra="given")
    assert (told["filtering"], told["rollout"]) == (CONFIG.filtering, CONFIG.rollout)
    assert (told["tasks"], told["evaluation"]) == (tmp_path / "tasks", tmp_path / "scores")
    assert told["parts"] == [tmp_path / "one", tmp_path / "two"]
    assert (told["output"], told["output_uri"], told["extra"]) == (tmp_path / "out", str(tmp_path / "out"), "given")
    assert (told["stage"].name, told["stage"].iteration) == ("making", 2)
    assert read_report(tmp_path / "out").metrics == {"made": 1.0}
    assert metrics.metadata == {"made": 1.0}
    [run] = [
        found
        for found in client.search_runs([client.get_run(run_id).info.experiment_id])
        if found.data.tags.get("agent0.stage") == "making"
    ]
    assert {name.split(".")[0] for name in run.data.params} == {"filtering", "rollout"}
    digests = {name.removeprefix("agent0.input_sha256.") for name in run.data.tags if "input_sha256" in name}
    assert digests == {"tasks", "evaluation", "parts_0", "parts_1"}


def test_what_is_no_configuration_is_refused(tmp_path: Path) -> None:
    def run_nothing(stage: Stage, *, output: Path) -> StageResult:
        raise AssertionError

    for wired in ({**WIRED, "executor": {"stepz": 3}}, {**WIRED, "unheard": {}}):
        with pytest.raises(UsageError, match=r"stepz|unheard"):
            run_stage(run_nothing, wired, 0, "none", {}, artifact(tmp_path / "out"), Metrics(uri="metrics"))
