"""What a stage logs arrives in MLflow's store, once, however often it is sent."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient
from PIL import Image

from agent0.errors import Agent0Error
from agent0.storage.digest import model_digest
from agent0.tracking import TrackedDataset
from agent0.tracking.buffered_tracker import TrackingSession, open_session
from agent0.tracking.delivery import Delivery, RefusedError
from agent0.tracking.entry_batches import batches
from agent0.tracking.journal import Journal
from agent0.tracking.mlflow_runs import close_runs, start_run
from agent0.tracking.model_origin import Origin
from agent0.tracking.traces import split_turns, trajectory_trace
from agent0.types import ToolCall, Trajectory
from tests.support.reported_cases import reported_cases

CALL = ToolCall(code="print(2)", observation="2\n", status="ok")
SOLVED = Trajectory(
    prompt_ids=(1,),
    completion_ids=(2, 3),
    mask=(1, 1),
    text="I compute.\n```python\nprint(2)\n```\n```output\n2\n```\nIt is \\boxed{2}.",
    tool_calls=(CALL,),
    finish="eos",
    answer="2",
)


def everything(session: TrackingSession, tmp_path: Path) -> None:
    """Log one of each."""
    Image.new("RGB", (600, 400)).save(tmp_path / "plot.png")
    (tmp_path / "report.html").write_text("<p>report</p>")
    (tmp_path / "model").mkdir(exist_ok=True)
    (tmp_path / "model" / "config.json").write_text("{}")
    tracker = session.tracker
    for step in (1, 2, 3):
        tracker.log_metrics({"executor/reward": step / 10, "executor/loss": float("nan")}, step)
    tracker.set_tags({"agent0.note": "x"})
    tracker.log_file(tmp_path / "report.html", "pages")
    tracker.log_table([{"task": "a", "answer": "2"}, {"task": "b", "answer": ""}], "tasks.json")
    tracker.log_image(tmp_path / "plot.png", "difficulty", 1)
    tracker.log_dataset(TrackedDataset("tasks-kept", "ab" * 32, "output", "s3://bucket/kept", {"records": 2.0}))
    tracker.log_trace(trajectory_trace("t1", "1 + 1?", SOLVED, {"vote": (True, "8 of 10 agree")}, {"task": "a"}))
    origin = Origin(model_digest(tmp_path / "model"), "0" * 64, "1" * 64, 1, "evolution", "0.1.0+abc", "")
    tracker.register_model("agent0-executor", tmp_path / "model", str(tmp_path / "model"), origin)
    session.iteration(1).log_metrics({"tasks/kept": 7.0}, 1)
    session.evolution.log_metrics({"tasks/kept": 7.0}, 1)


def contents(client: MlflowClient, evolution: str) -> dict[str, Any]:
    """All that the store holds of an evolution's runs."""
    experiment = client.get_run(evolution).info.experiment_id
    found: dict[str, Any] = {}
    for run in client.search_runs([experiment]):
        names = run.data.metrics
        history = {n: [(p.step, p.timestamp) for p in client.get_metric_history(run.info.run_id, n)] for n in names}
        files = [
            item.path for folder in ("", "images", "pages") for item in client.list_artifacts(run.info.run_id, folder)
        ]
        inputs = [(item.dataset.name, item.dataset.digest) for item in run.inputs.dataset_inputs]
        found[run.info.run_name] = (run.info.status, history, run.data.params, run.data.tags, sorted(files), inputs)
    traces = client.search_traces([experiment])
    found["traces"] = [
        (t.info.trace_id, len(t.data.spans), [(a.name, a.value) for a in t.info.assessments]) for t in traces
    ]
    found["versions"] = [str(v.version) for v in client.search_model_versions("name='agent0-executor'")]
    return found


def test_all_arrives_and_sending_it_again_changes_nothing(
    store: str, evolution: str, open_stage: Callable[..., TrackingSession], tmp_path: Path
) -> None:
    session = open_stage()
    everything(session, tmp_path)
    assert session.close("FAILED") == ""
    copy = tmp_path / "copy.jsonl"
    shutil.copyfile(session.journal.path, copy)
    client = MlflowClient(store)
    first = contents(client, evolution)

    status, history, params, tags, files, inputs = first["1 task_filtering"]
    assert status == "FAILED"
    assert [step for step, _ in history["executor/reward"]] == [1, 2, 3]
    assert params == {"filtering.k": "1"}
    assert (tags["agent0.note"], tags["mlflow.loggedImages"]) == ("x", "True")
    assert {"pages/report.html", "tasks.json"} <= set(files)
    assert sum(path.startswith("images/difficulty+step+1+") for path in files) == 2
    assert inputs == [("tasks-kept", ("ab" * 32)[:36])]
    assert first["iteration 1"][0] == "RUNNING"
    assert first["iteration 2"][0] == "SCHEDULED"
    assert list(first["iteration 1"][1]) == list(first["evolution tiny seed 0"][1]) == ["tasks/kept"]
    ((_, spans, verdicts),) = first["traces"]
    assert (spans, verdicts) == (4, [("vote", True)])
    assert first["versions"] == ["1"]

    lines = [line for line in copy.read_text().splitlines() if "delivered" not in json.loads(line)]
    copy.write_text("".join(f"{line}\n" for line in lines))
    again = Journal(copy)
    assert again.opening is not None
    Delivery(client, again.opening).send(again)
    assert again.pending == 0
    assert contents(client, evolution) == first


def test_a_table_and_the_spans_of_a_trace_are_read_by_mlflow(
    store: str, open_stage: Callable[..., TrackingSession], tmp_path: Path
) -> None:
    session = open_stage()
    everything(session, tmp_path)
    session.close("FINISHED")
    client = MlflowClient(store)
    experiment = client.get_experiment_by_name("agent0").experiment_id
    assert client.load_table(experiment, "tasks.json")["task"].tolist() == ["a", "b"]
    (trace,) = client.search_traces([experiment])
    assert [(span.name, span.span_type) for span in trace.data.spans] == [
        ("trajectory", "AGENT"),
        ("turn 1", "LLM"),
        ("python", "TOOL"),
        ("turn 2", "LLM"),
    ]
    tool = trace.data.spans[2]
    assert (tool.inputs, tool.outputs) == ("print(2)", "2\n")


def test_an_attempt_after_a_failure_goes_on_in_the_same_run(
    store: str, evolution: str, open_stage: Callable[..., TrackingSession]
) -> None:
    first = open_stage()
    first.tracker.log_metrics({"executor/reward": 0.1}, 1)
    assert first.close("FAILED") == ""
    again = open_stage()
    again.tracker.log_metrics({"executor/reward": 0.1}, 1)
    again.tracker.log_metrics({"executor/reward": 0.2}, 2)
    again.close("FINISHED")
    other = open_stage(fingerprint="another configuration")
    other.close("FINISHED")
    client = MlflowClient(store)
    runs = client.search_runs(
        [client.get_run(evolution).info.experiment_id], "attributes.run_name = '1 task_filtering'"
    )
    histories = [client.get_metric_history(run.info.run_id, "executor/reward") for run in runs]
    assert sorted([point.step for point in history] for history in histories) == [[], [1, 2]]
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_pods_side_by_side_have_runs_of_their_own(store: str, open_stage: Callable[..., TrackingSession]) -> None:
    sessions = [open_stage(part=f"pod-{pod}-of-2") for pod in range(2)]
    for session in sessions:
        assert session.close("FINISHED") == ""
    client = MlflowClient(store)
    experiment = client.get_experiment_by_name("agent0").experiment_id
    names = {run.info.run_name for run in client.search_runs([experiment], "tags.`mlflow.parentRunId` != ''")}
    assert {"1 task_filtering pod-0-of-2", "1 task_filtering pod-1-of-2"} <= names


def test_small_entries_share_a_request_and_keep_their_order() -> None:
    def entry(n: int, kind: str, run: str = "stage", size: int = 1) -> dict[str, Any]:
        return {"n": n, "kind": kind, "run": run, "values": dict.fromkeys(map(str, range(size)), 1.0)}

    entries = [
        *(entry(n, "metrics", size=300) for n in range(4)),
        entry(4, "tags"),
        entry(5, "params", size=100),
        entry(6, "params"),
        entry(7, "metrics", run="evolution"),
        {"n": 8, "kind": "status", "run": "stage"},
        entry(9, "metrics"),
    ]
    grouped = [[item["n"] for item in batch] for batch in batches(entries)]
    assert grouped == [[0, 1, 2], [3, 4, 5], [6], [7], [8], [9]]


def test_a_run_of_something_else_is_refused(store: str, open_stage: Callable[..., TrackingSession]) -> None:
    client = MlflowClient(store)
    stranger = client.create_run(client.create_experiment("other")).info.run_id
    with pytest.raises(RefusedError, match="no evolution or evaluation of Agent0"):
        open_session(store, stranger, 1, "x", part="", fingerprint="", params={}, tags={}, warn=pytest.fail)
    with pytest.raises(RefusedError, match=r"refuses what it is sent: .*not found"):
        open_session(store, "0" * 32, 1, "x", part="", fingerprint="", params={}, tags={}, warn=pytest.fail)


def test_an_entry_that_mlflow_refuses_is_put_aside_and_named(
    store: str, evolution: str, open_stage: Callable[..., TrackingSession]
) -> None:
    warnings: list[str] = []
    session = open_stage(warn=warnings.append)
    session.tracker.log_metrics({"good": 1.0, "odd(s)": 2.0, "fine": 3.0}, 4)
    session.tracker.log_params({"executor.steps": 1, "odd;name": 5})
    session.evolution.log_metrics({"odd(s)": 2.0}, 1)
    session.tracker.log_metrics({"later": 1.0}, 5)
    assert session.close("FINISHED") == ""
    client = MlflowClient(store)
    experiment = client.get_run(evolution).info.experiment_id
    [run] = [run for run in client.search_runs([experiment]) if run.info.run_name == "1 task_filtering"]
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"good": 1.0, "fine": 3.0, "later": 1.0}
    assert run.data.params == {"filtering.k": "1", "executor.steps": "1"}
    named = ["the metric odd(s) = 2.0 at step 4", "the parameter odd;name = 5"]
    assert run.data.tags["agent0.refused"].splitlines() == named
    assert client.get_run(evolution).data.tags["agent0.refused"] == "the metric odd(s) = 2.0 at step 1"
    assert [sum(name in warning for warning in warnings) for name in named] == [1, 1]
    assert all("refuses what it is sent" in warning for warning in warnings)


def test_a_run_that_takes_nothing_any_more_keeps_what_waits(
    store: str, evolution: str, open_stage: Callable[..., TrackingSession]
) -> None:
    warnings: list[str] = []
    session = open_stage(warn=warnings.append)
    assert session.sender.close(60)
    client = MlflowClient(store)
    delivery = Delivery(client, session.journal.opening, warnings.append)
    client.delete_run(delivery.run_id("stage"))
    session.tracker.log_metrics({"good": 1.0, "fine": 3.0}, 4)
    with pytest.raises(RefusedError, match="refuses what it is sent"):
        delivery.send(session.journal)
    assert (session.journal.pending, warnings) == (1, [])


def test_what_people_reported_of_tracking_arrives_as_they_meant_it(
    store: str,
    evolution: str,
    open_stage: Callable[..., TrackingSession],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for case in reported_cases("tracking"):
        if case["kind"] == "start_run":
            monkeypatch.chdir(tmp_path)
            assert start_run(case["input"]["uri"], "agent0", "evolution reported", {}, {})
            continue
        warnings: list[str] = []
        session = open_stage(warn=warnings.append, fingerprint=case["id"])
        for step, (_, values) in enumerate(case["input"]["log"]):
            session.tracker.log_metrics(values, step)
        assert session.close("FINISHED") == ""
        client = MlflowClient(store)
        experiment = client.get_run(evolution).info.experiment_id
        [run] = [run for run in client.search_runs([experiment]) if run.info.run_name == "1 task_filtering"]
        refused = set(case["input"]["log"][0][1])
        assert [run.info.status, sorted(run.data.metrics)] == case["expected"][:2]
        assert all(any(name in warning for warning in warnings) for name in refused)


def test_a_run_of_another_experiment_is_refused(
    store: str, open_stage: Callable[..., TrackingSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = MlflowClient(store)
    stranger = client.create_run(client.create_experiment("other")).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", stranger)
    with pytest.raises(RefusedError, match="is of experiment 1, and this stage tracks to experiment 2"):
        open_stage()


def test_the_plugins_runs_are_used_and_left_open(store: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    client = MlflowClient(store)
    experiment = client.create_experiment("kubeflow")
    root = client.create_run(experiment, run_name="my-pipeline-run").info.run_id
    tasks = [
        client.create_run(experiment, tags={"mlflow.parentRunId": root}, run_name=name).info.run_id
        for name in ("prepare", "task-filtering")
    ]
    monkeypatch.setenv("MLFLOW_RUN_ID", tasks[0])
    assert start_run(store, "agent0", "evolution tiny seed 0", {}, {}, range(2)) == root
    monkeypatch.setenv("MLFLOW_RUN_ID", tasks[1])
    given = {"part": "", "fingerprint": "", "params": {}, "tags": {}, "warn": pytest.fail}
    session = open_session(store, root, 1, "task_filtering", **given)
    session.tracker.log_metrics({"tasks/kept": 1.0}, 1)
    assert session.close("FINISHED") == ""
    assert client.get_run(tasks[1]).data.metrics == {"tasks/kept": 1.0}
    close_runs(store, root, "FAILED")
    runs = {run.info.run_name: run.info.status for run in client.search_runs([experiment])}
    assert runs == {
        "my-pipeline-run": "RUNNING",
        "prepare": "RUNNING",
        "task-filtering": "RUNNING",
        "iteration 0": "KILLED",
        "iteration 1": "FAILED",
    }
    assert client.get_experiment_by_name("agent0") is None


def test_closing_ends_what_still_goes_on(
    store: str, evolution: str, open_stage: Callable[..., TrackingSession]
) -> None:
    open_stage(iteration=0).close("FINISHED")
    cut_short = open_stage()
    assert cut_short.sender.close(60)  # killed: nothing says how it ended
    client = MlflowClient(store)
    close_runs(store, evolution, "FAILED")
    experiment = client.get_run(evolution).info.experiment_id
    statuses = {run.info.run_name: run.info.status for run in client.search_runs([experiment])}
    assert statuses["evolution tiny seed 0"] == statuses["iteration 0"] == "FAILED"
    assert statuses["1 task_filtering"] == statuses["iteration 1"] == "FAILED"
    assert (statuses["0 task_filtering"], statuses["iteration 2"]) == ("FINISHED", "KILLED")


def test_an_evolution_that_finished_without_a_stage_says_so(store: str, evolution: str) -> None:
    close_runs(store, evolution, "FINISHED")
    run = MlflowClient(store).get_run(evolution)
    assert run.info.status == "FINISHED"
    assert run.data.tags["agent0.incomplete"] == "iteration 0, iteration 1, iteration 2"


def test_a_large_file_is_refused(
    open_stage: Callable[..., TrackingSession], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent0.tracking.buffered_tracker.MAX_FILE_BYTES", 3)
    (tmp_path / "weights").write_bytes(b"1234")
    session = open_stage()
    with pytest.raises(Agent0Error, match="a file that is kept in MLflow may have"):
        session.tracker.log_file(tmp_path / "weights")
    session.close("FINISHED")


def test_turns_are_what_the_model_wrote() -> None:
    second = ToolCall(code="x", observation="```output\n", status="ok")
    text = "a\n```python\nx\n```\n```output\n2\n```\nb\n```py\nx\n```\n````output\n```output\n````\nc"
    assert split_turns(text, [CALL, second]) == ["a\n```python\nx\n```", "b\n```py\nx\n```", "c"]
    assert split_turns("a```output\n1\n```\nno tool", []) == ["a```output\n1\n```\nno tool"]
    refused = "a\n```python\nx\n```\n```output\n2\n```\n```python\ny\n```\n"  # a program that may not run
    assert split_turns(refused, [CALL]) == ["a\n```python\nx\n```", "```python\ny\n```\n"]
