"""An ablation in several jobs: each has a part of the variants, and the last one the whole table."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from agent0.config import TrackingSettings, load_config
from agent0.errors import UsageError
from agent0.stages import Stage
from agent0.stages.ablation import ablate, prepare_ablation, run_ablation_comparison
from agent0.stages.opening import Beginning, open_evolution
from agent0.storage.atomic_file import write_json
from tests.report.conftest import made_up_history

VARIANT = "grpo"
TRACKING = TrackingSettings(experiment="group")


@pytest.fixture(autouse=True)
def store(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    uri = f"sqlite:///{shutil.copy(empty_store, tmp_path)}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


def evolved(folder: Path, variant: str, job: str, store: str) -> Path:
    """The history of a variant, in a folder and in the MLflow run of its evolution."""
    config = load_config("tiny", ["iterations=1", "tracking.experiment=group"], [] if variant == "full" else [variant])
    history = made_up_history(1).model_copy(update={"config": config.model_dump(mode="json"), "seed": 0})
    write_json(folder / "history.json", history.model_dump())
    run_id = open_evolution(config, Beginning(), "", "", job)
    for file in folder.iterdir():
        MlflowClient(store).log_artifact(run_id, str(file))
    return folder


def test_one_job_needs_the_full_method_and_one_of_a_group_does_not() -> None:
    with pytest.raises(UsageError, match="add 'full' to the variants"):
        prepare_ablation("tiny", [VARIANT], [0], "", TRACKING, "job")
    _, runs = prepare_ablation("tiny", [VARIANT], [0, 1], "night", TRACKING, "job")
    assert runs == [{"variant": VARIANT, "seed": seed} for seed in (0, 1)]
    assert ablate(VARIANT, {"executor": {"adpo": {"enabled": True}}}) == {"executor": {"adpo": {"enabled": False}}}


def test_the_job_that_ends_last_has_the_table_of_its_group_and_of_no_other(tmp_path: Path, store: str) -> None:
    folders = {}
    for variant, job, group in (("full", "one", "night"), (VARIANT, "two", "night"), ("single-turn", "three", "day")):
        prepare_ablation("tiny", [variant], [0], group, TRACKING, job)
        folders[job] = evolved(tmp_path / job, variant, job, store)
    tables = {}
    for group in ("night", ""):
        output = tmp_path / f"compared-{group}"
        output.mkdir()
        stage = Stage.untracked("ablation_comparison", 0)
        run_ablation_comparison(
            stage,
            histories=[folders["two"]],
            recipe="tiny",
            group=group,
            tracking=TRACKING,
            output=output,
            page=tmp_path / "page",
        )
        tables[group] = [row["variant"] for row in json.loads((output / "ablation.json").read_text())]
    assert tables == {"night": ["full", VARIANT], "": [VARIANT]}
