"""Trackers beside MLflow are told what stages log, and one that fails costs nothing but itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from given_plugins import Give
from mlflow.tracking import MlflowClient

from agent0.errors import Agent0Error, UsageError
from agent0.stages.session import StageResult, open_stage
from agent0.tracking import TrackedRun
from agent0.tracking.mlflow_runs import start_run

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def evolution(store: str) -> str:
    return start_run(store, "agent0", "evolution tiny seed 0", {}, {}, (1,))


def work(evolution: str, folder: Path, *also: str) -> None:
    """Run a stage that logs to its own run, its iteration's and the evolution's."""
    with open_stage("task_filtering", iteration=1, seed=0, mlflow_run_id=evolution, also=also) as stage:
        stage.tracker.log_metrics({"tasks/kept": 3.0}, 1)
        stage.evolution.log_metrics({"tasks/kept": 3.0}, 1)
        stage.iteration_run(1).set_tags({"agent0.note": "short"})
        (folder / "page.html").write_text("<p>")
        stage.evolution.log_file(folder / "page.html")
        output = folder / "output"
        output.mkdir(exist_ok=True)
        stage.finish(StageResult({"tasks/kept_share": 0.5}), output)


def test_the_examples_tracker_has_what_the_stages_logged(
    evolution: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: MlflowClient
) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.setenv("MY_RUNS", str(tmp_path / "mine"))
    work(evolution, tmp_path, "my_jsonl:JsonLines")
    rows = [json.loads(line) for line in (tmp_path / "mine" / f"{evolution}.jsonl").read_text().splitlines()]
    assert {row["run"] for row in rows} == {"1 task_filtering", "iteration 1", "evolution"}
    own = [row for row in rows if row["run"] == "1 task_filtering"]
    assert {"tasks/kept": 3.0} in [row.get("metrics") for row in own]
    assert any("tasks/kept_share" in row.get("metrics", {}) for row in own)
    assert any(row.get("tags", {}).get("agent0.stage") == "task_filtering" for row in own)
    assert own[-1]["status"] == "FINISHED"
    assert {"run": "iteration 1", "tags": {"agent0.note": "short"}} in rows
    assert {"run": "evolution", "file": "page.html", "bytes": 3} in rows
    assert client.get_run(evolution).data.metrics == {"tasks/kept": 3.0}


class Failing:
    def __init__(self, run: TrackedRun) -> None:
        self.told = 0

    def __getattr__(self, name: str) -> Any:
        def tell(*given: Any) -> None:
            self.told += 1
            if self.told > 2:
                raise ConnectionError("gone")

        return tell


def test_one_that_fails_is_warned_of_and_mlflow_has_all(
    evolution: str, tmp_path: Path, give: Give, client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    give(("agent0.trackers", "failing", "their_package:Failing"), Failing=Failing)
    work(evolution, tmp_path, "failing")
    warned = capsys.readouterr()
    assert (warned.out + warned.err).count("The tracker failing failed (ConnectionError: gone)") == 1
    assert "What is logged from here on is in MLflow alone." in warned.out + warned.err
    runs = client.search_runs([client.get_run(evolution).info.experiment_id], "tags.`agent0.stage` = 'task_filtering'")
    assert {name: runs[0].data.metrics[name] for name in ("tasks/kept", "tasks/kept_share")} == {
        "tasks/kept": 3.0,
        "tasks/kept_share": 0.5,
    }


def test_one_that_cannot_be_found_or_opened_stops_the_stage_before_it_begins(
    evolution: str, tmp_path: Path, give: Give
) -> None:
    def unopened(run: TrackedRun) -> Any:
        raise PermissionError("no key")

    give(("agent0.trackers", "unopened", "their_package:unopened"), unopened=unopened)
    with pytest.raises(Agent0Error, match=r"^The tracker unopened failed \(PermissionError: no key\)"):
        work(evolution, tmp_path, "unopened")
    with pytest.raises(UsageError, match=r"There is no tracker 'unopend'; .* did you mean 'unopened'"):
        work(evolution, tmp_path, "unopend")
    assert not (tmp_path / "output").exists()
