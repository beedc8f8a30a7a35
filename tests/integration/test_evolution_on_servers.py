"""A short evolution against the deployed tracking server and S3, both of which fall over in the middle of it."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from short_evolution import SEED, SHORT, agent0, arguments_of, command, events

from agent0.seeds import derive_seed

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]
pytest.importorskip("mlflow", reason="the extra tracking is not installed")
BUCKET = "evolution"
STAGES = (
    "curriculum_training",
    "task_generation",
    "sandboxed_execution",
    "task_filtering",
    "executor_training",
    "benchmark_evaluation",
    "iteration_report",
)


@pytest.fixture(scope="module")
def environment(tracking_server: Any, swift: Any, model_cache: Path) -> dict[str, str]:
    """The variables of somebody whose runs are tracked on the server, with unfinished work in S3."""
    import boto3
    from botocore.config import Config

    config = Config(s3={"addressing_style": "path"})
    keys = {"aws_access_key_id": swift.access_key, "aws_secret_access_key": swift.secret_key}
    client = boto3.client("s3", endpoint_url=swift.endpoint, region_name="us-east-1", config=config, **keys)
    client.create_bucket(Bucket=BUCKET)
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MLFLOW_", "AGENT0_"))},
        **tracking_server.client_environment(),
        "AWS_ENDPOINT_URL_S3": swift.endpoint,
        "AWS_ACCESS_KEY_ID": swift.access_key,
        "AWS_SECRET_ACCESS_KEY": swift.secret_key,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AGENT0_WORKSPACE": f"s3://{BUCKET}/unfinished",
        "AGENT0_CACHE": str(model_cache),
        "AGENT0_TRACKING_PATIENCE": "180",  # a stage that ends while the server is away waits for it
        "COLUMNS": "120",
    }


@pytest.fixture(scope="module")
def output(
    environment: dict[str, str], tracking_server: Any, swift: Any, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A finished evolution of one iteration; each server was killed once meanwhile."""
    output = tmp_path_factory.mktemp("evolution") / "run"
    log = output.with_name("log")
    with log.open("wb") as file:
        process = subprocess.Popen(command(output, iterations=1), env=environment, stdout=file, stderr=file)
        try:
            _await(output, process, "curriculum_training")
            tracking_server.stop()
            tracking_server.start()
            _await(output, process, "executor_training")
            swift.stop()
            time.sleep(2)
            swift.start()
            assert process.wait(600) == 0, log.read_text()[-3000:]
        finally:
            process.kill()
            process.wait()
    return output


def _await(output: Path, process: subprocess.Popen[bytes], stage: str) -> None:
    """Wait until a stage has begun."""
    while not any(event["stage"] == stage for event in events(output)):
        assert process.poll() is None, output.with_name("log").read_text()[-3000:]
        time.sleep(0.1)


@pytest.fixture
def run(client: Any, output: Path) -> Any:
    return client.get_run(json.loads((output / "summary.json").read_text())["mlflow_run_id"])


def test_the_server_holds_all_of_it_though_it_was_away(client: Any, run: Any) -> None:
    assert run.info.status == "FINISHED"
    history = client.get_metric_history(run.info.run_id, "eval/accuracy")
    assert [point.step for point in history] == [0, 1]
    assert {"report.html", "summary.json"} <= {item.path for item in client.list_artifacts(run.info.run_id)}
    rounds = client.search_runs([run.info.experiment_id], f"tags.mlflow.parentRunId = '{run.info.run_id}'")
    stages = [
        stage
        for parent in rounds
        for stage in client.search_runs([run.info.experiment_id], f"tags.mlflow.parentRunId = '{parent.info.run_id}'")
    ]
    assert {(item.info.run_name, item.info.status) for item in rounds} == {
        ("iteration 0", "FINISHED"),
        ("iteration 1", "FINISHED"),
    }
    found = [(item.data.tags["agent0.iteration"], item.data.tags["agent0.stage"]) for item in stages]
    assert len(found) == len(set(found))  # none twice
    assert {stage for iteration, stage in found if iteration == "1"} == set(STAGES)
    assert {item.info.status for item in stages} == {"FINISHED"}
    training = next(item for item in stages if item.data.tags["agent0.stage"] == "executor_training")
    clipped = client.get_metric_history(training.info.run_id, "executor/clip_ratio/high_mean")
    assert [point.step for point in clipped] == list(range(1, 9))  # each once, in order


def test_the_model_comes_back_by_its_alias_and_scores_the_same(
    client: Any, run: Any, environment: dict[str, str], tmp_path: Path
) -> None:
    model, again = tmp_path / "model", tmp_path / "evaluation"
    _run(environment, "models", "download", "models:/agent0-executor@candidate", str(model))
    seed = derive_seed(SEED, "benchmark_evaluation", 1)
    _run(environment, "evaluate", f"--model={model}", f"--seed={seed}", f"--output={again}", *arguments_of(SHORT))
    (benchmark,) = json.loads((again / "evaluation.json").read_text())["benchmarks"]
    found = {"eval/accuracy": benchmark["score"]["mean"]}
    for level, score in benchmark["groups"]["level"].items():
        found[f"eval/accuracy_{level}"] = score["mean"]
    assert len(found) == 6
    tracked = {name: client.get_metric_history(run.info.run_id, name)[-1].value for name in found}
    assert found == pytest.approx(tracked)


def test_a_reviewer_sees_charts_report_model_and_traces(client: Any, run: Any) -> None:
    import review_pages
    from servers.tracking import PASSWORD, USERNAME

    pytest.importorskip("playwright", reason="playwright is not installed")
    if review_pages.program() is None:
        pytest.skip("Chromium is not installed; run `make test-integration` as root on Debian")
    experiment, accuracy = run.info.experiment_id, run.data.metrics["eval/accuracy"]
    with review_pages.opened_browser(client.tracking_uri, USERNAME, PASSWORD) as page:
        charts = review_pages.open_charts(page, experiment, run.info.run_id)
        assert f"evolution tiny seed {SEED}" in charts
        assert "accuracy" in charts
        report = review_pages.open_report(page, experiment, run.info.run_id)
        assert "tiny, 1 iteration of co-evolution" in report
        assert f"{100 * accuracy:.1f} %" in report
        model = review_pages.open_model(page, "agent0-executor")
        assert "Version 1" in model
        assert f"code_version\n: {run.data.tags['agent0.code_version']}" in model
        trace = review_pages.open_trace(page, experiment, review_pages.trace_with_tool(client, experiment))
        assert {"turn 1", "python", "vote", "known_answer"} <= set(trace.splitlines())


def _run(environment: dict[str, str], *arguments: str) -> None:
    done = subprocess.run(agent0(*arguments), env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
