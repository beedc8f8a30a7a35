"""`run`, `status`, `logs`, `cancel` against the test server."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from kfp_server_api import V2beta1RuntimeState

from agent0.kubeflow.server_runs import FINISHED, GOING_ON
from tests.kubeflow.conftest import Command
from tests.kubeflow.server import KfpServer
from tests.kubeflow.state import State

QUICK = ("--wait", "--interval", "0.05")


@pytest.fixture
def state(uploaded: State) -> State:
    return uploaded


def only_run(server: KfpServer) -> dict:  # type: ignore[type-arg]
    (run,) = server.state.runs.values()
    return run


def test_a_run_sends_checked_values_to_the_newest_version(server: KfpServer, pipeline: Command) -> None:
    pipeline("upload", "other.yaml", "--version", "second")
    done = pipeline("run", "evolution", "--param", "executor.steps=20", "--param", "seed=3", "--name", "mine")
    assert done.code == 0, done.err
    run = only_run(server)
    values = run["runtime_config"]["parameters"]
    assert (values["seed"], values["executor"]["steps"], values["executor"]["group_size"]) == (3, 20, 8)
    assert set(values) == {"seed", "executor"}
    version = server.state.versions[run["pipeline_version_reference"]["pipeline_version_id"]]
    assert (run["display_name"], version["name"]) == ("mine", "second")
    assert server.state.experiments[run["experiment_id"]]["display_name"] == "agent0"
    assert f"{server.url}/#/runs/details/{run['run_id']}" in done.out


def test_a_version_a_file_and_an_experiment_can_be_chosen(server: KfpServer, pipeline: Command) -> None:
    pipeline("upload", "other.yaml", "--version", "second")
    pipeline("run", "evolution", "--version", "first", "--experiment", "nightly", "--service-account", "runner")
    run = only_run(server)
    assert server.state.versions[run["pipeline_version_reference"]["pipeline_version_id"]]["name"] == "first"
    assert run["service_account"] == "runner"
    assert pipeline("run", "other.yaml", "--experiment", "nightly").code == 0
    inline = list(server.state.runs.values())[1]
    assert inline["pipeline_spec"]["pipeline_spec"]["pipelineInfo"]["name"] == "agent0-evolution"
    assert inline["experiment_id"] == run["experiment_id"]
    assert len(server.state.experiments) == 1
    assert "a file is its own" in pipeline("run", "other.yaml", "--version", "first").err


def test_the_short_options_name_parameters_of_an_evaluation(server: KfpServer, pipeline: Command) -> None:
    done = pipeline("run", "evaluation", "--model", "s3://models/7", "--benchmarks", "tiny,gsm8k")
    assert done.code == 0, done.err
    values = only_run(server)["runtime_config"]["parameters"]
    assert values["model"]["source"] == "s3://models/7"
    assert values["evaluation"]["benchmarks"] == ["tiny", "gsm8k"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--param", "sede=3"], "no parameter 'sede'; did you mean 'seed'?"),
        (["--param", "seed=three"], "seed=three: it must be a whole number"),
        (["--param", "executor.stepz=3"], "did you mean 'steps'?"),
        (["--params-file", "missing.yaml"], "There is no parameter file missing.yaml"),
        (["--version", "tenth"], "has no version 'tenth'; there are: first"),
    ],
)
def test_bad_values_start_nothing(server: KfpServer, pipeline: Command, arguments: list[str], sentence: str) -> None:
    done = pipeline("run", "evolution", *arguments)
    assert done.code == 2
    assert sentence in done.err
    assert server.requests("POST", "/runs") == []
    assert server.state.experiments == {}


@pytest.mark.parametrize(("version", "sent"), [("2.17.1", True), ("2.16.0", False), ("unknown", False)])
def test_the_mlflow_plugin_gets_its_input_from_servers_that_know_it(
    server: KfpServer, pipeline: Command, version: str, sent: bool
) -> None:
    server.state.version = version
    assert pipeline("run", "evolution").code == 0
    expected = {"mlflow": {"experiment_name": "agent0"}} if sent else None
    assert only_run(server).get("plugins_input") == expected


def test_the_plugin_can_be_left_out(server: KfpServer, pipeline: Command) -> None:
    pipeline("run", "evolution", "--no-mlflow")
    assert "plugins_input" not in only_run(server)


def test_waiting_shows_each_task_and_ends_with_the_mlflow_run(server: KfpServer, pipeline: Command) -> None:
    server.state.steps_per_look, server.state.mlflow_url = 3, "https://mlflow.example"
    done = pipeline("run", "evolution", *QUICK)
    assert done.code == 0, done.err
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    assert [line for line in lines if "executor-training" in line and "done" in line] == [
        "done executor-training 1/2 50.0 s",
        "done executor-training 2/2 50.0 s",
    ]
    assert sum(line.startswith("done ") for line in lines) == 21
    assert lines[-2] == "state SUCCEEDED"
    assert lines[-1].startswith("mlflow https://mlflow.example/#/experiments/1/runs/")
    assert lines[-1].endswith("/model-metrics?workflowType=machine_learning")


def test_an_older_server_is_not_trusted_with_nested_tasks(server: KfpServer, pipeline: Command) -> None:
    server.state.steps_per_look, server.state.version = 30, "2.16.1"
    done = pipeline("run", "evolution", *QUICK)
    assert done.code == 0
    assert "2.16.1 may tell the states of nested tasks wrongly" in done.out


def test_without_the_plugin_the_environment_says_where_mlflow_is(
    server: KfpServer, pipeline: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.state.steps_per_look = 30
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example")
    done = pipeline("run", "evolution", "--param", "tracking.experiment=night", *QUICK)
    assert "https://mlflow.example, experiment night" in done.out


def test_a_failed_run_exits_with_one_and_names_the_task(server: KfpServer, pipeline: Command) -> None:
    server.state.steps_per_look = 3
    server.state.failing = {"iteration-2.executor-training": ""}
    done = pipeline("run", "evolution", *QUICK)
    assert done.code == 1
    assert done.err.endswith("failed in executor-training 2.\n")
    assert "state     FAILED" in done.out
    status = pipeline("status", "latest")
    assert status.code == 0
    assert "failed in executor-training 2." in status.out
    assert pipeline("status", "latest", *QUICK).code == 1


def test_a_silent_server_is_waited_for(server: KfpServer, pipeline: Command) -> None:
    server.state.steps_per_look = 4
    server.break_next("GET", "/runs/", "drop", times=2)
    server.break_next("GET", "/runs/", "503", times=2)
    done = pipeline("run", "evolution", *QUICK)
    assert done.code == 0, done.err
    assert done.out.count("trying again") == 1
    assert "state     SUCCEEDED" in done.out


def test_a_token_that_expires_while_waiting_ends_the_waiting_only(server: KfpServer, pipeline: Command) -> None:
    server.state.steps_per_look = 1
    looks = iter(range(3))
    server.on_request = lambda method, path: (
        server.tokens.add("new") if "/runs/" in path and next(looks, None) is None else None
    )
    done = pipeline("run", "evolution", *QUICK)
    assert done.code == 1
    assert "does not know who asks (401)" in done.err
    assert f"The run {only_run(server)['run_id']} goes on." in done.err


def test_a_file_may_get_a_new_token_while_waiting(server: KfpServer, pipeline: Command, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("0")
    server.state.steps_per_look, server.tokens, looks = 4, {"0"}, itertools.count(1)

    def rotate(method: str, path: str) -> None:
        if "/runs/" in path:  # the answer still takes the old token, the next request needs the new one
            new = str(next(looks))
            server.tokens = {file.read_text(), new}
            file.write_text(new)

    server.on_request = rotate
    done = pipeline("run", "evolution", *QUICK, "--token-file", str(file))
    assert done.code == 0, done.err
    assert int(file.read_text()) > 2


@pytest.mark.usefixtures("pipeline")
def test_interrupting_ends_the_waiting_and_says_how_to_end_the_run(server: KfpServer, compiled: Path) -> None:
    command = [sys.executable, "-m", "agent0", "pipeline", "run", "evolution", *QUICK]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=compiled,
        env=environment,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("page"):
                break
        while not server.requests("GET", "/runs/{run_id}"):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    run = only_run(server)
    assert process.returncode == 130
    assert "the run goes on" in errors
    assert f"agent0 pipeline cancel {run['run_id']}" in errors
    assert "Traceback" not in errors
    assert run["state"] == "PENDING"


def test_status_lists_the_tasks_in_the_order_in_which_they_began(server: KfpServer, pipeline: Command) -> None:
    server.state.steps_per_look = 5
    pipeline("run", "evolution", "--name", "mine")
    done = pipeline("status", "mine")
    rows = [line.split()[:3] for line in done.out.splitlines() if "2026-01-01" in line]
    assert [row[0] for row in rows] == [
        "opening",
        "base-model",
        "prepare",
        "base-evaluation",
        "starting-agent",
        "starting-agent-2",
    ]
    assert rows[-1][1] == "RUNNING"
    assert "state     RUNNING" in done.out


def test_status_and_list_as_json(server: KfpServer, pipeline: Command) -> None:
    server.state.steps_per_look = 2
    pipeline("run", "evolution", "--name", "mine")
    record = json.loads(pipeline("status", "mine", "--json").out)
    assert (record["name"], record["state"]) == ("mine", "RUNNING")
    assert [task["state"] for task in record["tasks"]] == ["SUCCEEDED", "SUCCEEDED", "RUNNING"]
    assert record["tasks"][-1]["finished_at"] is None
    (row,) = json.loads(pipeline("list", "--runs", "--json").out)
    assert (row["run"], row["state"]) == (record["run_id"], "RUNNING")


def test_a_run_is_found_by_identifier_beginning_name_or_as_the_latest(server: KfpServer, pipeline: Command) -> None:
    pipeline("run", "evolution", "--name", "one")
    pipeline("run", "evolution", "--name", "two")
    first, second = server.state.runs
    for reference, expected in ((first, first), (first[:8], first), ("one", first), ("latest", second)):
        assert f"run       {expected}" in pipeline("status", reference).out
    pipeline("run", "evolution", "--name", "two")
    assert "2 runs are named 'two'" in pipeline("status", "two").err
    assert "There is no run 'three'" in pipeline("status", "three").err
    assert "There is no run 00000000-0000" in pipeline("status", "00000000-0000-0000-0000-000000000000").err
    listed = pipeline("list", "--runs", "--limit", "2").out
    assert "two" in listed
    assert first not in listed


def test_a_run_is_cancelled_once(server: KfpServer, pipeline: Command) -> None:
    server.state.steps_per_look = 2
    pipeline("run", "evolution")
    done = pipeline("cancel", "latest")
    assert "is being cancelled" in done.out
    assert only_run(server)["state"] == "CANCELING"
    done = pipeline("status", "latest", *QUICK)
    assert done.code == 1
    assert only_run(server)["state"] == "FAILED"  # the server's word for it
    assert done.err.endswith("was cancelled.\n")
    assert "what to do" not in done.out
    done = pipeline("cancel", "latest")
    assert done.code == 0
    assert "has finished already (FAILED)" in done.out


def test_every_state_of_the_server_is_either_an_end_or_not() -> None:
    assert set(V2beta1RuntimeState.allowable_values) == FINISHED | GOING_ON
    assert FINISHED.isdisjoint(GOING_ON)


def test_an_archived_run_is_not_the_latest(server: KfpServer, pipeline: Command) -> None:
    pipeline("run", "evolution", "--name", "one")
    pipeline("run", "evolution", "--name", "two")
    first, second = server.state.runs.values()
    second["storage_state"] = "ARCHIVED"
    assert f"run       {first['run_id']}" in pipeline("status", "latest").out
    assert f"run       {second['run_id']}" in pipeline("status", "two").out


def test_values_that_no_pod_would_take_are_refused_by_name(server: KfpServer, pipeline: Command) -> None:
    assert pipeline("run", "evaluation", "--param", f"rollout.prompts.plain={'x' * 100_000}").code == 0
    for command in (["run", "evaluation"], ["schedule", "evaluation", "--cron", "0 0 3 * * *"]):
        sent = len(server.requests("POST"))
        done = pipeline(*command, "--param", f"rollout.prompts.plain={'x' * 131_072}", "--param", "seed=1")
        assert done.code == 2
        assert "the longest is rollout with 13" in done.err.lower()
        assert len(server.requests("POST")) == sent
