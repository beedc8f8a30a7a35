"""Which MLflow run an evolution opens or goes on with, and that none is left open at its end."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from typer.testing import CliRunner

from agent0.ablations import active_ablations
from agent0.cli.tracking import app as tracking_app
from agent0.config import WIRE, TrackingSettings, load_config
from agent0.errors import UsageError
from agent0.stages import open_stage
from agent0.stages.closing import Ending, close_runs
from agent0.stages.opening import Beginning, check_graph, configuration, open_evolution
from agent0.stages.prepare import begin_history
from agent0.storage.atomic_file import write_json
from agent0.tracking.delivery import UnreachableError
from agent0.tracking.job_runs import OUTCOME_TAG
from agent0.tracking.mlflow_runs import start_run
from tests.report.conftest import made_up_history

CONFIG = load_config("tiny", ["iterations=1"])


@pytest.fixture(scope="module")
def store(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{shutil.copy(empty_store, tmp_path_factory.mktemp('store'))}"


@pytest.fixture
def client(store: str, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    return MlflowClient(store)


@dataclass(frozen=True)
class Pipelines:
    """What pipelines do in an experiment of their own."""

    tracking: TrackingSettings
    page: Path

    def open(
        self, job: str, *, seed: int = 0, code: str = "", run_id: str = "", beginning: Beginning | None = None
    ) -> str:
        config = CONFIG.model_copy(update={"seed": seed, "tracking": self.tracking})
        return open_evolution(config, beginning or Beginning(), code, run_id, job)

    def close(self, job: str, state: str, message: str = "") -> list[str]:
        return close_runs(job, Ending(state, message), self.tracking, self.page)


@pytest.fixture
def pipelines(client: MlflowClient, tmp_path: Path, request: pytest.FixtureRequest) -> Pipelines:
    return Pipelines(TrackingSettings(experiment=request.node.name), tmp_path / "page")


def test_one_model_begins_as_one(pipelines: Pipelines) -> None:
    config = CONFIG.model_copy(update={"one_model": True, "tracking": pipelines.tracking})
    with pytest.raises(UsageError, match="name for both the executor"):
        open_evolution(config, Beginning(2, "models:/a/1", "models:/b/1", "runs:/1"), "", "", "one")


def test_a_task_that_is_started_again_finds_the_run_it_had_opened(pipelines: Pipelines) -> None:
    assert pipelines.open("job-1") == pipelines.open("job-1")


def test_only_a_run_that_ended_badly_with_the_same_settings_and_code_is_gone_on_with(
    pipelines: Pipelines, client: MlflowClient
) -> None:
    first = pipelines.open("job-1")
    assert pipelines.open("job-2") != first, "a run that goes on is another job's"
    pipelines.close("job-1", "FAILED", "a node was lost")
    for other in (
        pipelines.open("job-3", seed=1),
        pipelines.open("job-3", code="other"),
        pipelines.open("job-3", beginning=Beginning(executor_model_uri="models:/x/1")),
    ):
        assert other != first
    assert pipelines.open("job-4") == first
    run = client.get_run(first)
    assert (run.info.status, run.data.tags["agent0.job"], run.data.tags[OUTCOME_TAG]) == ("RUNNING", "job-4", "")
    pipelines.close("job-4", "SUCCEEDED")
    assert pipelines.open("job-5") != first, "a finished run is not gone on with"


def test_a_named_run_must_be_of_the_same_evolution(pipelines: Pipelines) -> None:
    first = pipelines.open("job-1")
    assert pipelines.open("job-2", run_id=first) == first
    with pytest.raises(UsageError, match="other settings, another seed"):
        pipelines.open("job-2", seed=1, run_id=first)
    with pytest.raises(UsageError, match="There is no MLflow run nothing"):
        pipelines.open("job-2", run_id="nothing")


def test_an_evolution_begins_with_round_one_or_later(pipelines: Pipelines) -> None:
    with pytest.raises(UsageError, match="start_iteration is 0"):
        pipelines.open("job", beginning=Beginning(iteration=0))


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("COMPLETE", "FINISHED"),
        ("CACHED", "FINISHED"),
        ("FAILED", "FAILED"),
        ("CANCELED", "KILLED"),
        ("SUCCEEDED", "FINISHED"),
        ("CANCELLED", "KILLED"),
    ],
)
def test_closing_ends_every_run_of_the_job_and_says_why(
    pipelines: Pipelines, client: MlflowClient, state: str, status: str
) -> None:
    mine, other = pipelines.open("job-1"), pipelines.open("job-2", seed=1)
    assert pipelines.close("job-1", state, "pod <evicted>") == [mine]
    run = client.get_run(mine)
    assert (run.info.status, run.data.tags[OUTCOME_TAG]) == (status, f"The pipeline ended as {state}: pod <evicted>")
    nested = client.search_runs([run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{mine}'")
    assert nested
    assert "RUNNING" not in {item.info.status for item in nested}
    assert client.get_run(other).info.status == "RUNNING"
    page = pipelines.page.read_text()
    assert "pod &lt;evicted&gt;" in page
    assert mine in page


def test_a_stage_whose_pod_was_killed_is_closed_with_its_evolution(pipelines: Pipelines, client: MlflowClient) -> None:
    run_id = pipelines.open("job-1")
    experiment = client.get_run(run_id).info.experiment_id
    with open_stage("prepare", iteration=1, seed=0, mlflow_run_id=run_id):
        deadline = time.monotonic() + 30
        while not (stages := client.search_runs([experiment], "tags.`agent0.kind` = 'stage'")):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert [run.info.status for run in stages] == ["RUNNING"]
        pipelines.close("job-1", "FAILED")
        stages = client.search_runs([experiment], "tags.`agent0.kind` = 'stage'")
        assert [run.info.status for run in stages] == ["FAILED"]


def test_closing_draws_the_report_of_the_rounds_that_were_finished(
    pipelines: Pipelines, client: MlflowClient, tmp_path: Path
) -> None:
    run_id = pipelines.open("job-1")
    write_json(tmp_path / "history.json", made_up_history().model_dump())
    client.log_artifact(run_id, str(tmp_path / "history.json"))
    pipelines.close("job-1", "FAILED", "out of memory")
    assert "<svg" in pipelines.page.read_text()
    assert {item.path for item in client.list_artifacts(run_id)} >= {"history.json", "report.html", "summary.json"}


@pytest.mark.parametrize("state", ["RUNNING", "NEW", "anything"])
def test_what_the_server_does_not_tell_is_not_called_finished(
    pipelines: Pipelines, client: MlflowClient, state: str
) -> None:
    run_id = pipelines.open("job-1")
    pipelines.close("job-1", state)
    run = client.get_run(run_id)
    assert run.info.status == "KILLED"
    assert f"ended as {state}. The server does not tell how" in run.data.tags[OUTCOME_TAG]
    page = pipelines.page.read_text()
    assert "No round was finished" in page
    assert f"MLflow run {run_id}; artifacts: config.json, pipeline.json." in page


@pytest.mark.parametrize("state", ["RUNNING", "FAILED", "COMPLETE"])
@pytest.mark.parametrize("planned", [3, 4])
def test_an_evolution_that_has_its_last_round_is_finished_whatever_the_server_says(
    pipelines: Pipelines,
    client: MlflowClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    state: str,
    planned: int,
) -> None:
    run_id = pipelines.open("job-1")
    history = made_up_history().model_copy(update={"planned_iterations": planned})
    assert history.iterations[-1].iteration == 3
    write_json(tmp_path / "history.json", history.model_dump())
    client.log_artifact(run_id, str(tmp_path / "history.json"))
    monkeypatch.setattr("agent0.stages.iteration_report.render", lambda _: "the page")  # seconds to draw
    pipelines.close("job-1", state)
    run = client.get_run(run_id)
    cut_short = {"RUNNING": "KILLED", "FAILED": "FAILED", "COMPLETE": "FINISHED"}[state]
    assert run.info.status == ("FINISHED" if planned == 3 else cut_short)
    assert ("All stages have finished" in run.data.tags[OUTCOME_TAG]) == (planned == 3)


@pytest.mark.parametrize("state", ["RUNNING", "FAILED"])
@pytest.mark.parametrize("whole", [True, False])
def test_the_page_of_an_evaluation_says_what_was_scored(
    pipelines: Pipelines, client: MlflowClient, tmp_path: Path, state: str, whole: bool
) -> None:
    tags = {"agent0.job": "job-1"}
    run_id = start_run(client.tracking_uri, pipelines.tracking.experiment, "evaluation small seed 0", {}, tags)
    with open_stage("benchmark_evaluation", iteration=0, seed=0, mlflow_run_id=run_id) as stage:
        stage.tracker.log_metrics({"eval/accuracy": 0.25, "speed/tokens": 3.0}, 0)
    if whole:
        (tmp_path / "comparison.html").write_text("compared")
        client.log_artifact(run_id, str(tmp_path / "comparison.html"))
    pipelines.close("job-1", state)
    run, page = client.get_run(run_id), pipelines.page.read_text()
    assert run.info.status == ("FINISHED" if whole else {"RUNNING": "KILLED", "FAILED": "FAILED"}[state])
    assert "round" not in page
    assert ("Every benchmark is scored" in page) == whole
    assert ("The evaluation is not whole" in page) != whole
    assert "benchmark_evaluation" in page
    assert "eval/accuracy 0.25" in page
    assert run_id in page


def test_a_job_without_runs_still_has_a_page(pipelines: Pipelines) -> None:
    assert pipelines.close("nobody", "FAILED", "wrong setting") == []
    page = pipelines.page.read_text()
    assert "wrong setting" in page
    assert "The pipeline opened no MLflow run" in page


def test_a_history_goes_on_right_after_its_last_round(tmp_path: Path) -> None:
    write_json(tmp_path / "past" / "history.json", made_up_history().model_dump())
    last = made_up_history().iterations[-1].iteration
    grown = begin_history(CONFIG, last + 1, str(tmp_path / "past"), "run", tmp_path / "history")
    assert [record.iteration for record in grown.iterations][-1] == last
    assert (grown.mlflow_run_id, grown.planned_iterations) == ("run", last + 1)
    with pytest.raises(UsageError, match=f"go on with start_iteration {last + 1}, not 1"):
        begin_history(CONFIG, 1, str(tmp_path / "past"), "run", tmp_path / "again")


def test_an_ending_that_mlflow_could_not_be_told_of_waits_for_flush(
    pipelines: Pipelines, client: MlflowClient, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = pipelines.open("job-1")
    monkeypatch.setenv("AGENT0_TRACKING_BUFFER", str(tmp_path / "tracking"))
    monkeypatch.setenv("AGENT0_PROGRESS", str(tmp_path / "progress.jsonl"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert pipelines.close("job-1", "SUCCEEDED") == []
    advice = f"agent0 tracking flush {tmp_path / 'tracking'}"
    assert advice in (tmp_path / "progress.jsonl").read_text()
    assert advice in pipelines.page.read_text()
    assert client.get_run(run_id).info.status == "RUNNING"
    for _ in range(2):  # doing it twice does no harm
        done = CliRunner().invoke(tracking_app, ["flush", str(tmp_path / "tracking"), "--uri", store])
        assert done.exit_code == 0, done.output
    run = client.get_run(run_id)
    assert (run.info.status, run.data.tags[OUTCOME_TAG]) == ("FINISHED", "The pipeline ended as SUCCEEDED.")


def test_an_ending_is_an_error_where_nothing_outlives_the_process(
    pipelines: Pipelines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(UnreachableError, match="MLflow does not answer"):
        pipelines.close("job-1", "SUCCEEDED")


def test_a_pipeline_that_another_version_compiled_is_refused() -> None:
    check_graph(CONFIG, with_warm_start=False, wire=WIRE)
    message = "compiled by another version of Agent0.*Compile and upload it again"
    with pytest.raises(UsageError, match=message):
        check_graph(CONFIG, with_warm_start=False)  # as the tasks of the versions did that knew no number
    with pytest.raises(UsageError, match=message):
        check_graph(CONFIG, with_warm_start=False, wire=WIRE + 1)


def test_every_later_task_is_given_one_configuration() -> None:
    dumped = CONFIG.model_dump(mode="json")
    assert configuration(dumped, {}) == CONFIG
    variant = configuration(dumped, {"variant": "grpo", "seed": 7.0})  # Kubeflow's local runner makes floats of numbers
    assert variant.seed == 7
    assert active_ablations(variant.model_dump(mode="json")) == ("grpo",)
    assert variant.rollout == CONFIG.rollout
    assert configuration(dumped, {"variant": "full", "seed": 0}) == CONFIG
    with pytest.raises(UsageError, match="leave out grpo"):
        configuration(variant.model_dump(mode="json"), {"variant": "full", "seed": 0})
    with pytest.raises(UsageError, match=r"executor\.steps"):
        configuration({**dumped, "executor": {**dumped["executor"], "steps": -1}}, {})
