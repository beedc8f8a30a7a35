"""What a reviewer reads of a run and of a version beside their numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from agent0.config import load_config
from agent0.evaluation.registered_evaluations import evaluation_of, recorded_evaluations
from agent0.evaluation.results import read_report
from agent0.stages.opening import Beginning, open_evolution
from agent0.storage.digest import model_digest
from agent0.tracking.job_runs import charts_below
from agent0.tracking.model_origin import Origin
from agent0.tracking.review import NOTE_TAG, opening_charts, origin_tags


def test_a_reviewer_reads_whose_run_it_is_what_it_is_and_where_its_charts_are(
    store: str, evolution: str, open_stage: Any, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "alice")
    session = open_stage(tags={**origin_tags("task_filtering"), NOTE_TAG: "Keeps tasks."})
    assert session.close("FINISHED") == ""
    runs = {run.info.run_name: run for run in client.search_runs(["1"])}
    notes = {name: run.data.tags[NOTE_TAG] for name, run in runs.items()}
    assert notes["evolution tiny seed 0"] == "An *evolution*."
    assert notes["iteration 2"].startswith("Round 2 of evolution tiny seed 0")
    assert notes["1 task_filtering"] == "Keeps tasks."
    assert {run.data.tags["mlflow.source.type"] for run in runs.values()} == {"LOCAL"}
    assert runs["1 task_filtering"].data.tags["mlflow.source.name"] == "agent0 task_filtering"
    assert runs["1 task_filtering"].info.user_id == "alice"
    charts = f"http://127.0.0.1:5000/#/experiments/1/runs/{evolution}/model-metrics?workflowType=machine_learning"
    assert charts_below(store, "http://127.0.0.1:5000") == charts  # that of the newest evolution
    assert opening_charts(charts.partition("/model-metrics")[0]) == charts
    assert opening_charts("https://example.com/elsewhere") == "https://example.com/elsewhere"
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "bob")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    found = origin_tags("evolution")
    assert (found["mlflow.user"], found["mlflow.source.type"]) == ("bob", "JOB")


def test_the_name_and_the_description_tell_an_ablation_from_the_evolution(store: str, client: MlflowClient) -> None:
    def run(*ablations: str) -> Run:
        config = load_config("tiny", ablations=ablations)
        return client.get_run(open_evolution(config, Beginning(), "", "", "job"))

    whole, ablated = run(), run("no-tool-reward", "grpo")
    assert (whole.info.run_name, ablated.info.run_name) == (
        "evolution tiny seed 0",
        "evolution tiny no-tool-reward grpo seed 0",
    )
    assert "**Left out: no-tool-reward, grpo.**" in ablated.data.tags[NOTE_TAG]
    assert "Left out" not in whole.data.tags[NOTE_TAG]
    assert whole.data.tags[NOTE_TAG].startswith("Evolution of `tiny` by the recipe `tiny`, seed 0: 3 round(s).")


def test_a_round_s_scores_stand_on_the_version_that_it_made(
    evolution: str, open_stage: Any, client: MlflowClient, tmp_path: Path, write_evaluation: Any
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    sha256 = model_digest(folder)
    place = write_evaluation("scored", {"gsm8k": 40}, revision=sha256)
    told: list[str] = []
    session = open_stage("benchmark_evaluation", warn=told.append)
    report = read_report(str(place))
    scored = evaluation_of(report, place, str(place), evolution, (1, evolution))
    session.tracker.record_evaluation("agent0-executor", scored)  # before it is registered, as after an outage
    origin = Origin(sha256, "0" * 64, "1" * 64, 1, evolution, "0.1.0+abc", "")
    session.tracker.register_model("agent0-executor", folder, str(folder), origin)
    session.tracker.record_evaluation("agent0-executor", scored)
    assert session.close("FINISHED") == ""
    (warning,) = told
    assert f"has no version of what round 1 of {evolution} made" in warning
    (version,) = client.search_model_versions("name='agent0-executor'")
    (recorded,) = recorded_evaluations(version).values()
    assert recorded.scores["gsm8k"][0] == 0.4
    assert recorded.place == place.resolve().as_uri()
    assert version.description.startswith("Round 1. Latest evaluation, with its 95 % interval: gsm8k 40.0 % (")
