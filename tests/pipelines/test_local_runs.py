"""Compiled pipelines on Kubeflow's local runner: gone on with, failing, and an ablation."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from kfp import components, local
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from short_evolution import SHORTEST

from agent0.config import load_config
from agent0.kubeflow.compile_options import LOCAL
from agent0.storage.digest import STAGE_FILE
from agent0.storage.manifest import MANIFEST
from agent0_kfp.pipelines.pipeline_catalogue import PIPELINES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore:Task .* have no effect in the current local runner:UserWarning"),
]
SHORT = ["iterations=1", *SHORTEST]


@pytest.fixture(scope="module")
def folder(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("local")
    shutil.copyfile(empty_store, folder / "mlflow.db")
    return folder


@pytest.fixture(autouse=True)
def environment(local_runner: None, folder: Path, model_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
        "AGENT0_CACHE": str(model_cache),
        "AGENT0_WORKSPACE": str(folder / "workspace"),
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(folder)


def run(folder: Path, name: str, pipeline: str, overrides: list[str], **arguments: Any) -> Path:
    """Run a compiled pipeline; return the folder of its artifacts."""
    PIPELINES[pipeline](load_config("tiny", [*SHORT, *overrides]), folder / f"{name}.yaml", LOCAL)
    local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=str(folder / name), raise_on_error=True)
    components.load_component_from_file(str(folder / f"{name}.yaml"))(**arguments)
    return folder / name


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def runs(folder: Path, kind: str) -> list[Run]:
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("agent0")
    return client.search_runs([experiment.experiment_id], f"tags.`agent0.kind` = '{kind}'")


def test_an_evolution_goes_on_with_another(folder: Path) -> None:
    first = run(folder, "first", "evolution", [], seed=1)
    second = run(
        folder,
        "second",
        "evolution",
        [],
        seed=1,
        start_iteration=2,
        curriculum_model_uri=str(only(first, "**/curriculum-training/trained")),
        executor_model_uri=str(only(first, "**/executor-training/trained")),
        history_uri=str(only(first, "**/iteration-report/grown")),
    )
    grown = only(second, "**/iteration-report/grown")
    history = json.loads((grown / "history.json").read_text())
    assert [record["iteration"] for record in history["iterations"]] == [0, 1, 2]
    assert (history["first_iteration"], history["planned_iterations"]) == (2, 2)
    assert "<svg" in only(second, "**/closing/report").read_text()
    assert {path.name for path in only(second, "**/base-evaluation/scores").iterdir()} == {MANIFEST, STAGE_FILE}
    assert len(list((grown / "questions").iterdir())) == 2
    for path in ("curriculum", "executor"):
        trained = only(first, f"**/{path}-training/trained/model.safetensors").read_bytes()
        begun = [item for item in second.glob("**/starting-agent*/agent/model.safetensors")]
        assert trained in [item.read_bytes() for item in begun]
    assert [run.info.status for run in runs(folder, "evolution")] == ["FINISHED", "FINISHED"]
    assert {run.info.status for kind in ("iteration", "stage") for run in runs(folder, kind)} == {"FINISHED"}


def test_a_failing_task_leaves_no_run_open(folder: Path) -> None:
    with pytest.raises(RuntimeError, match="task-filtering"):
        run(folder, "failing", "evolution", ["filtering.min_self_consistency=1.0"], seed=2)
    page = only(folder / "failing", "**/closing/report").read_text()
    assert "The pipeline ended as FAILED" in page
    assert "No round was finished" in page
    (evolution,) = (found for found in runs(folder, "evolution") if found.data.tags["agent0.seed"] == "2")
    assert evolution.info.status == "FAILED"
    assert "FAILED" in evolution.data.tags["agent0.outcome"]
    assert evolution.info.run_id in page
    assert not [
        run
        for kind in ("evolution", "iteration", "stage")
        for run in runs(folder, kind)
        if run.info.status == "RUNNING"
    ]


def test_an_ablation_compares_its_variants_with_the_full_method(folder: Path) -> None:
    found = run(folder, "ablation", "ablation", [], variants=["full", "no-curriculum-training"], seeds=[3])
    table = json.loads(only(found, "**/ablation-comparison/compared/ablation.json").read_text())
    assert [(row["variant"], row["runs"]) for row in table] == [("full", 1), ("no-curriculum-training", 1)]
    assert "fewer than two pairs" in table[1]["conclusion"]
    assert "no-curriculum-training" in only(found, "**/ablation-comparison/page").read_text()
    tracked = [run for run in runs(folder, "evolution") if run.data.tags["agent0.seed"] == "3"]
    assert sorted(run.data.tags["agent0.ablations"] for run in tracked) == ["no-curriculum-training", "none"]
    (whole,) = runs(folder, "ablation")
    assert whole.info.status == "FINISHED"
    assert set(whole.data.metrics) == {"ablation/full", "ablation/no-curriculum-training"}
