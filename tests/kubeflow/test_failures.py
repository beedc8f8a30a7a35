"""Logs, and what is said of a run that failed or waits, against the test server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent0.kubeflow.compiled_pipeline import read_package
from agent0.kubeflow.logs import told_apart
from tests.kubeflow.admission import refusal
from tests.kubeflow.argo import Step, steps_of
from tests.kubeflow.conftest import Command
from tests.kubeflow.server import KfpServer
from tests.kubeflow.state import State

QUICK = ("--wait", "--interval", "0.05")
TRAINING = "iteration-2.executor-training"
OUT_OF_MEMORY = "main: OOMKilled (exit code 137)"
NO_ROOM = "Unschedulable: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
PRIVILEGED = 'pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true'
REFUSED = json.dumps({"error_message": "BadRequestError: Failed to read logs for run 7: gone", "error_details": "gone"})


@pytest.fixture
def state(uploaded: State) -> State:
    return uploaded


def finished(server: KfpServer, pipeline: Command, name: str) -> str:
    """Run a pipeline to its end, and return the run's identifier."""
    server.state.steps_per_look = 100
    assert pipeline("run", name).code == 0
    pipeline("status", "latest")
    return list(server.state.runs)[-1]


@pytest.mark.parametrize(
    ("body", "text", "refusal"),
    [
        ("all well\n", "all well\n", ""),
        (REFUSED, "", "gone"),
        (f"half of it\n{REFUSED}", "half of it\n", "gone"),
        ('{"error_message": "mine"}\n', '{"error_message": "mine"}\n', ""),
        (REFUSED.replace("run 7", "run 8"), REFUSED.replace("run 7", "run 8"), ""),
        (f"{REFUSED}\n", "", "gone"),
        ('{"error_message": broken', '{"error_message": broken', ""),
    ],
)
def test_a_log_is_told_from_the_error_that_the_server_sends_with_success(body: str, text: str, refusal: str) -> None:
    log = told_apart(body, "7")
    assert (log.text, log.refusal) == (text, refusal)


@pytest.mark.parametrize("version", ["2.16.1", "2.17.0"])
@pytest.mark.parametrize("attempts", [1, 3])
def test_the_log_of_a_task_is_that_of_its_last_attempt(
    server: KfpServer, pipeline: Command, version: str, attempts: int
) -> None:
    server.state.version, server.state.attempts = version, attempts
    server.state.failing = {TRAINING: ""}
    run = finished(server, pipeline, "evolution")
    done = pipeline("logs", "latest")
    assert done.code == 0, done.err
    assert done.out.startswith(f"log of root.exit-handler-1.{TRAINING} from ")
    names = {node["name"] for node in server.state.workflows[run].nodes().values()}
    assert (f"{server.state.workflows[run].name}(0)" in names) == (version == "2.17.0")
    last = [name for name in names if name.endswith(f".executor({attempts - 1})") and "iteration-2" in name]
    assert len([name for name in last if ".executor-training" in name]) == 1
    done = pipeline("logs", "latest", "executor-training", "--number", "1")
    assert "log of root.exit-handler-1.iteration.executor-training from " in done.out


@pytest.mark.parametrize("version", ["2.16.1", "2.17.0"])
def test_the_log_of_a_task_in_a_loop_is_found(server: KfpServer, pipeline: Command, version: str) -> None:
    server.state.version = version
    finished(server, pipeline, "evaluation")
    first, second = (pipeline("logs", "latest", "benchmark-evaluation", "--number", str(n)).out for n in (1, 2))
    assert "(0:0)" in first
    assert "(1:1)" in second


def test_a_log_that_is_not_there_is_an_error_with_the_command_for_the_cluster(
    server: KfpServer, pipeline: Command
) -> None:
    server.state.steps_per_look = 2
    pipeline("run", "evolution")
    pipeline("status", "latest")
    assert "No task has failed in the run" in pipeline("logs", "latest").err
    missing = pipeline("logs", "latest", "executor-training")
    assert "No task 'executor-training' has begun" in missing.err
    assert "those that have begun: opening, base-model" in missing.err
    server.state.logs_kept = False
    done = pipeline("logs", "latest", "opening")
    assert (done.code, done.out) == (1, "")
    assert "has none, or none any more, of the log of opening (InternalServerError: Failed to read logs" in done.err
    assert "kubectl logs -n kubeflow agent0-evolution-" in done.err


def test_a_log_that_is_json_is_a_log(server: KfpServer, pipeline: Command) -> None:
    server.state.logs = {"opening": '{"error_message": "printed by the program"}\n'}
    finished(server, pipeline, "evolution")
    assert pipeline("logs", "latest", "opening").out == '{"error_message": "printed by the program"}\n'


def test_without_the_older_api_a_log_is_left_to_the_cluster(server: KfpServer, pipeline: Command) -> None:
    server.state.older_api = False
    server.state.failing = {TRAINING: ""}
    run = finished(server, pipeline, "evolution")
    done = pipeline("logs", "latest", "opening")
    assert done.code == 2
    assert f"kubectl logs -l pipeline/runid={run} --prefix" in done.err
    status = pipeline("status", "latest").out
    assert "failed in executor-training 2." in status
    assert "no log: The server does not tell the names of the run's pods" in status


@pytest.mark.parametrize("version", ["2.16.1", "2.17.0"])
def test_a_failed_run_is_explained_with_the_end_of_the_log_and_what_to_do(
    server: KfpServer, pipeline: Command, version: str
) -> None:
    server.state.version, server.state.steps_per_look = version, 5
    server.state.failing = {TRAINING: OUT_OF_MEMORY}
    server.state.logs = {TRAINING: "".join(f"step {number}\n" for number in range(50))}
    done = pipeline("run", "evolution", *QUICK)
    assert done.code == 1
    assert f"executor-training 2: {OUT_OF_MEMORY}" in done.out
    assert [line for line in done.out.splitlines() if line.startswith("  | ")] == [
        f"  | step {number}" for number in range(30, 50)
    ]
    run = list(server.state.runs)[-1]
    more = f"agent0 pipeline rerun {run} -O training_memory=… (it has 8Gi)"
    assert f"It ran out of memory. Run it again with more: {more}." in done.out
    record = json.loads(pipeline("status", "latest", "--json").out)
    (failure,) = record["failures"]
    assert (failure["task"], failure["number"], failure["message"]) == ("executor-training", 2, OUT_OF_MEMORY)
    assert failure["log"][-1] == "step 49"
    assert "training_memory" in failure["advice"]
    (failed,) = [task for task in record["tasks"] if task["state"] == "FAILED"]
    assert (failed["exit_code"], failed["error"]) == (137, OUT_OF_MEMORY)
    assert record["ended"].endswith("failed in executor-training 2.")
    assert [task["name"] for task in record["tasks"]][-1] == "closing"


def test_a_run_again_has_the_same_values_and_more_memory(server: KfpServer, pipeline: Command) -> None:
    pipeline("run", "evolution", "--param", "seed=7", "--experiment", "night")
    done = pipeline("rerun", "latest", "-O", "training_memory=768Gi")
    assert done.code == 0, done.err
    first, second = server.state.runs.values()
    for key in ("runtime_config", "experiment_id"):
        assert first[key] == second[key]
    executors = second["pipeline_spec"]["pipeline_spec"]["deploymentSpec"]["executors"]
    limits = {name: entry["container"]["resources"]["resourceMemoryLimit"] for name, entry in executors.items()}
    assert (limits["exec-executor-training"], limits["exec-opening"]) == ("768Gi", "8Gi")
    assert "A run can be given other training_cpu" in pipeline("rerun", "latest", "-O", "gpus=1").err


def test_an_error_of_the_program_leads_to_its_log(server: KfpServer, pipeline: Command) -> None:
    server.state.failing = {"base-model": ""}
    run = finished(server, pipeline, "evolution")
    out = pipeline("status", "latest").out
    assert "base-model 1: main: Error (exit code 1)" in out
    assert f"what to do: Read its whole log, mend what it says, and run again: agent0 pipeline logs {run}" in out
    server.state.logs_kept = False
    assert "no log: InternalServerError: Failed to read logs from archive" in pipeline("status", "latest").out


def test_a_driver_that_failed_is_shown_with_its_own_log(server: KfpServer, pipeline: Command) -> None:
    refusal = "parent DAG does not have input parameter training_cpu"
    server.state.admit = lambda task, run: refusal if task.name == "base-model" else None
    finished(server, pipeline, "evolution")
    out = pipeline("status", "latest").out
    assert f"  | {refusal}" in out
    assert "what to do: Kubeflow's driver could not prepare it" in out
    assert "failed in base-model." in out
    assert pipeline("logs", "latest").out == refusal


def test_what_the_driver_and_kubernetes_refuse_fails_on_the_test_server_too(
    server: KfpServer, pipeline: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipeline that no cluster runs, sent without the command's own check."""
    monkeypatch.setattr("agent0.kubeflow.acceptance.finding_sentences.require_accepted", lambda *_: None)
    path = Path(__file__).parent / "acceptance" / "not_run_by_a_cluster.yaml"
    server.state.steps_per_look = 20
    assert pipeline("run", str(path)).code == 0
    pipeline("status", "latest")
    out = pipeline("status", "latest").out
    assert "state     FAILED" in out
    assert "its accelerator count is the parameter training_gpus, which is no text" in out
    struct = read_package(str(path)).as_struct()
    (generation,) = {
        step.path: step for step in steps_of(struct["pipeline_spec"]) if "for-loop-2" in step.path
    }.values()
    refused = str(refusal(generation, struct, {}, "2.17.0"))
    assert "generation_cpu, which the pipeline around it does not have" in refused


def test_the_tasks_and_the_run_are_what_may_be_refused(server: KfpServer, pipeline: Command) -> None:
    asked = []

    def admit(task: Step, run: dict[str, object]) -> str | None:
        asked.append((task.path, task.executor, run["run_id"]))
        return None

    server.state.admit = admit  # type: ignore[assignment]
    run = finished(server, pipeline, "evaluation")
    benchmark = ("exit-handler-1", "benchmarks", "for-loop-1", "benchmark-evaluation")
    assert [item for item in asked if item[0] == benchmark] == [(benchmark, "exec-benchmark-evaluation", run)] * 2


def test_a_pod_that_the_cluster_refuses_has_no_log(server: KfpServer, pipeline: Command) -> None:
    server.state.admit = lambda task, run: PRIVILEGED if task.name == "opening" else None
    finished(server, pipeline, "evolution")
    out = pipeline("status", "latest").out
    assert f"opening 1: {PRIVILEGED}" in out
    assert "no log: " in out
    assert "Pod Security level refuses the pod" in out


def test_a_pod_that_waits_is_told_with_the_reason(server: KfpServer, pipeline: Command) -> None:
    server.state.steps_per_look, server.state.pending = 3, {"base-model": NO_ROOM}
    pipeline("run", "evolution")
    pipeline("status", "latest")
    waiting = pipeline("status", "latest")
    row = next(line for line in waiting.out.splitlines() if line.strip().startswith("base-model"))
    assert "PENDING" in row
    assert f"base-model 1 waits: {NO_ROOM}. No node has room for the pod" in waiting.out
    record = json.loads(pipeline("status", "latest", "--json").out)
    assert record["tasks"][-1]["waits"].startswith(NO_ROOM)
    answered = server.state.older_run

    def answer_once(run_id: str) -> dict[str, object]:
        found = answered(run_id)
        for step in server.state.workflows[run_id].steps:
            step.state = "running" if step.state == "pending" else step.state
        return found

    server.state.older_run = answer_once  # type: ignore[method-assign]
    done = pipeline("status", "latest", *QUICK)
    assert done.code == 0, done.err
    assert done.out.count(f"waits   base-model 1: {NO_ROOM}") == 1


def test_the_tasks_of_a_workflow_that_the_server_keeps_packed_are_shown(server: KfpServer, pipeline: Command) -> None:
    server.state.packed = True
    run = finished(server, pipeline, "evolution")
    assert "run_details" not in server.state.look_at(run)
    assert "executor-training 2" in pipeline("status", "latest").out
    assert pipeline("logs", "latest", "opening").out.startswith("log of root.exit-handler-1.opening from ")


def test_a_task_that_something_before_it_kept_from_beginning_is_not_listed(
    server: KfpServer, pipeline: Command
) -> None:
    server.state.failing = {"base-model": ""}
    finished(server, pipeline, "evolution")
    for older_api in (True, False):
        server.state.older_api = older_api
        tasks = json.loads(pipeline("status", "latest", "--json").out)["tasks"]
        assert [task["name"] for task in tasks] == ["opening", "base-model", "closing"]
