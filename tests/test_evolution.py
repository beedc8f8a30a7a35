"""The whole loop, shortened: the compiled pipeline on the local runner, killed, resumed, and repeated."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from metric_dictionary import unknown
from mlflow.tracking import MlflowClient
from short_evolution import command, events

from agent0.storage.digest import model_digest
from agent0.tracking.model_fetching import fetch_model

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def comparable(output: Path) -> dict[str, Any]:
    """The summary without what two runs cannot share: times and the run's id."""
    summary = json.loads((output / "summary.json").read_text())
    del summary["seconds"], summary["mlflow_run_id"]
    return summary


@pytest.fixture(scope="module")
def folder(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copy(empty_store, tmp_path_factory.mktemp("evolution"))).parent


@pytest.fixture(scope="module")
def environment(folder: Path, model_cache: Path) -> dict[str, str]:
    return {
        **os.environ,
        "AGENT0_CACHE": str(model_cache),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
        "COLUMNS": "120",
    }


@pytest.fixture(scope="module")
def whole(folder: Path, environment: dict[str, str]) -> Path:
    """A run that nothing disturbs."""
    output = folder / "whole"
    done = subprocess.run(command(output), capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr + (output / "log.txt").read_text()[-3000:]
    assert "report.html" in done.stdout
    assert "done" in done.stdout  # plain progress lines, since this is no terminal
    return output


def test_the_summary_has_every_iteration(whole: Path) -> None:
    summary = json.loads((whole / "summary.json").read_text())
    assert (summary["recipe"], summary["seed"]) == ("tiny", 3)
    assert [record["iteration"] for record in summary["iterations"]] == [0, 1, 2]
    assert summary["iterations"][0]["proposals"] is None
    assert list(summary["iterations"][2]["executor"]["levels"]) == ["2x1", "2x2", "3x2", "4x2", "5x3"]
    questions = [record["executor"]["n"] for record in summary["iterations"][1:]]
    assert [record["flips"]["questions"] for record in summary["iterations"][1:]] == questions
    first, second = (record["proposals"] for record in summary["iterations"][1:])
    assert {"grounded", "one_derivation"} <= first["label_accuracy_by"].keys() | second["label_accuracy_by"].keys()
    assert first["kept_novelty"] is None
    assert 0 <= second["kept_repeated"] <= 1
    assert 0 < first["clusters"] <= 1 >= first["distinct"] > 0
    proposals = summary["iterations"][1]["proposals"]
    assert proposals["generated"] == 48
    assert 8 <= proposals["kept"] <= proposals["valid"] <= 48
    assert 0 <= proposals["first_executor_pass_rate"] <= 1
    assert 0 <= proposals["label_accuracy"] <= 1


def test_the_report_lies_beside_the_run(whole: Path) -> None:
    assert "<svg" in (whole / "report.html").read_text()


def test_mlflow_holds_the_run_its_stages_and_the_executors(whole: Path, folder: Path) -> None:
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    run = client.get_run(json.loads((whole / "summary.json").read_text())["mlflow_run_id"])
    assert run.info.status == "FINISHED"
    assert [point.step for point in client.get_metric_history(run.info.run_id, "eval/accuracy")] == [0, 1, 2]
    assert {"report.html", "summary.json"} <= {item.path for item in client.list_artifacts(run.info.run_id)}
    rounds = client.search_runs([run.info.experiment_id], f"tags.mlflow.parentRunId = '{run.info.run_id}'")
    assert {(r.info.run_name, r.info.status) for r in rounds} == {(f"iteration {n}", "FINISHED") for n in range(3)}
    parents = {r.info.run_id for r in rounds}
    runs = client.search_runs([run.info.experiment_id])
    nested = [found for found in runs if found.data.tags.get("mlflow.parentRunId") in parents]
    assert {r.info.status for r in nested} == {"FINISHED"}
    assert unknown({name for r in (run, *rounds, *nested) for name in r.data.metrics}) == []
    datasets = {item.dataset.name for r in nested for item in r.inputs.dataset_inputs}
    assert datasets == {"tasks-generated", "tasks-labelled", "tasks-kept"}
    traces = client.search_traces([run.info.experiment_id])
    assert len(traces) == 2 * 8
    assert all("vote" in {a.name for a in trace.info.assessments} for trace in traces)
    assert not list((whole / "workspace" / "tracking").rglob("*.jsonl"))  # all of it was delivered
    names = {(r.data.tags["agent0.stage"], r.data.tags["agent0.iteration"]) for r in nested}
    assert len(nested) == len(names) == 4 + 2 * 7
    training = next(r for r in nested if r.data.tags["agent0.stage"] == "executor_training")
    steps = [point.step for point in client.get_metric_history(training.info.run_id, "executor/reward")]
    assert steps == [1, 5]  # two batches of four updates each
    clipped = client.get_metric_history(training.info.run_id, "executor/clip_ratio/high_mean")
    assert [point.step for point in clipped] == list(range(1, 9))
    assert any(name.startswith("executor/adpo/") for name in training.data.metrics)
    assert "executor/clip_ratio/high_mean" in training.data.metrics
    trainings = [r for r in nested if r.data.tags["agent0.stage"].endswith("_training")]
    assert {r.data.tags["agent0.stage"] for r in trainings} == {"curriculum_training", "executor_training"}
    assert all(r.data.metrics["sandbox/programs"] > 0 for r in trainings)


def test_both_agents_are_registered_where_they_are_and_come_back_by_alias(whole: Path, folder: Path) -> None:
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    for name in ("agent0-executor", "agent0-curriculum"):
        versions = client.search_model_versions(f"name='{name}'", order_by=["version_number ASC"])
        lineage = [(version.tags["iteration"], version.tags.get("parent_version")) for version in versions]
        assert lineage == [("1", None), ("2", "1")]
        newest = client.get_model_version_by_alias(name, "candidate")
        trained = Path(newest.source.removeprefix("file://"))
        assert trained.is_relative_to(whole.resolve()), "the files were copied"
        fetch_model(client, newest, folder / f"downloaded {name}")
        assert model_digest(folder / f"downloaded {name}") == model_digest(trained) == newest.tags["model_sha256"]


def test_a_run_in_mlflow_compiles_to_the_same_pipeline(whole: Path, folder: Path, environment: dict[str, str]) -> None:
    run_id = json.loads((whole / "summary.json").read_text())["mlflow_run_id"]
    arguments = ["reproduce", run_id, "--output", str(folder / "again"), "--compile-only", str(folder / "again.yaml")]
    done = subprocess.run(
        [*command(whole)[:3], *arguments], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert (folder / "again.yaml").read_bytes() == (whole / "evolution.yaml").read_bytes()


def test_killed_and_resumed_it_ends_as_if_nothing_had_happened(
    whole: Path, folder: Path, environment: dict[str, str]
) -> None:
    output = folder / "killed"
    process = subprocess.Popen(command(output), env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 600
    while not any(e["stage"] == "sandboxed_execution" and e["iteration"] == 2 for e in events(output)):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (output / "summary.json").is_file() is False or len(comparable(output)["iterations"]) == 2
    finished = {(e["stage"], e["iteration"]) for e in events(output) if e["kind"] == "end"}
    before = len(events(output))

    done = subprocess.run(
        [*command(output)[:3], "evolve", "--output", str(output), "--resume"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    again = {(e["stage"], e["iteration"]) for e in events(output)[before:] if e["kind"] == "start"}
    assert again & finished == {("opening", 0)}  # what had finished was not run again
    assert ("sandboxed_execution", 2) in again
    assert comparable(output) == comparable(whole)
