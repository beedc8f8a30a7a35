"""`agent0 models push` and `agent0 tasks push` against a hub on the loopback, by the hub's own client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from command_line import Done, run_here
from hub_server import READ_ONLY, Hub, serving_hub
from huggingface_hub import CardData, ModelCard, constants
from made_up_history import made_up_history
from mlflow.tracking import MlflowClient

from agent0.storage.shards import write_shards
from agent0.types import LabelledTask, Task, Vote

EXECUTOR = "agent0-executor"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving_hub() as served:
        yield served


@pytest.fixture
def push(hub: Hub, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Run a command that pushes in this process, which spares its imports, as the user `lab` or another."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)

    def run(*arguments: str, token: str = "lab", endpoint: str = hub.url, offline: bool = False) -> Done:
        monkeypatch.setenv("HF_TOKEN", token)
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
        return run_here(monkeypatch, capfd, arguments)

    return run


@pytest.fixture
def version(client: MlflowClient, run_id: str, make_model: Any, registered: Any, tmp_path: Path) -> str:
    """A registered executor of the second of three rounds, and its evolution's history in MLflow."""
    (tmp_path / "history.json").write_text(made_up_history(3).model_dump_json())
    client.log_artifact(run_id, str(tmp_path / "history.json"))
    number = registered(make_model("executor"), 2, evolution_run_id=run_id)
    return f"models:/{EXECUTOR}/{number}"


@pytest.fixture
def round_output(tmp_path: Path) -> Path:
    """The output of an iteration report: a history, and three kept tasks."""
    folder = tmp_path / "grown"
    folder.mkdir()
    (folder / "history.json").write_text(made_up_history(1).model_dump_json())
    tasks = [
        LabelledTask(
            task=Task(id=f"t{number}", iteration=1, question=f"What is {number}+1?"),
            vote=Vote(answer=str(number + 1), count=6, k=10, clusters=3),
            answers=(str(number + 1), None),
            tool_calls=1.0,
            truncated=0.0,
            known_answer=str(number + 1) if number else None,
        )
        for number in range(3)
    ]
    write_shards(folder / "kept", tasks, LabelledTask)
    return folder


def test_a_model_goes_to_the_hub_whole_with_a_card_of_its_round(version: str, hub: Hub, push: Any) -> None:
    done = push("models", "push", version, "lab/executor", "--license", "apache-2.0", "--json")
    assert done.returncode == 0, done.stderr
    repository = hub.repositories["model", "lab/executor"]
    assert json.loads(done.stdout) == {"url": f"{hub.url}/lab/executor", "commit": repository.sha}
    assert repository.files["model.safetensors"] == b"executor" * 1000
    assert "stage.json" not in repository.files
    assert len(json.loads(repository.files["agent0/summary.json"])["iterations"]) == 3  # before round 1, and two rounds
    card = ModelCard(repository.files["README.md"].decode())
    assert (card.data.license, card.data.library_name) == ("apache-2.0", "transformers")
    assert card.data.base_model is None  # the embedded model is nobody's on a hub
    assert "| made by | round 2 of an evolution of `tiny` |" in card.text
    assert "The 95 % intervals" in card.text
    assert f"| 2 | {100 * made_up_history(3).iterations[2].executor.accuracy:.1f} (" in card.text
    assert "| 3 |" not in card.text


def test_pushed_again_a_repository_keeps_what_it_has_beside(version: str, hub: Hub, push: Any) -> None:
    push("models", "push", version, "lab/executor", "--private")
    repository = hub.repositories["model", "lab/executor"]
    repository.files["LICENSE"] = b"ours"
    again = push("models", "push", version, "lab/executor")
    assert again.returncode == 0, again.stderr
    assert repository.private
    assert repository.files["LICENSE"] == b"ours"
    assert len(repository.commits) == 2


def test_the_card_alone_is_printed_and_nothing_is_pushed(version: str, hub: Hub, push: Any) -> None:
    done = push("models", "push", version, "lab/executor", "--card")
    assert done.stdout.startswith("---\n")
    assert hub.repositories == {}


def test_tasks_become_a_data_set_with_the_truth_about_its_labels(
    round_output: Path, hub: Hub, push: Any, tmp_path: Path
) -> None:
    done = push("tasks", "push", str(round_output), "lab/tasks")
    assert done.returncode == 0, done.stderr
    files = hub.repositories["dataset", "lab/tasks"].files
    head = CardData(**ModelCard(files["README.md"].decode()).data.to_dict()).to_dict()
    (place,) = [item["path"] for item in head["configs"][0]["data_files"]]
    (tmp_path / "data.parquet").write_bytes(files[place])
    rows = pq.read_table(tmp_path / "data.parquet").to_pylist()
    assert [row["question"] for row in rows] == [f"What is {number}+1?" for number in range(3)]
    assert [row["known_answer"] for row in rows] == [None, "2", "3"]
    assert rows[0]["self_consistency"] == 0.6
    assert "The labels are votes, not truths." in files["README.md"].decode()


@pytest.mark.parametrize(
    ("repository", "more", "code", "told"),
    [
        ("lab/tasks", {"token": READ_ONLY}, 1, "does not let you write to lab/tasks (403); set HF_TOKEN"),
        ("lab/tasks", {"token": ""}, 1, "does not let you write to lab/tasks (401); set HF_TOKEN"),
        ("lab/tasks", {"endpoint": "http://127.0.0.1:9"}, 1, "cannot be reached for lab/tasks"),
        ("lab/tasks", {"offline": True}, 2, "HF_HUB_OFFLINE is set"),
        ("a b/c", {}, 2, "'a b/c' names no repository of a hub"),
    ],
    ids=["no rights", "no token", "no hub", "offline", "no name"],
)
def test_a_hub_that_does_not_take_it_is_one_sentence(
    repository: str, more: dict[str, Any], code: int, told: str, round_output: Path, push: Any
) -> None:
    done = push("tasks", "push", str(round_output), repository, **more)
    assert (done.returncode, done.stdout) == (code, "")
    assert told in done.stderr
    assert done.stderr.startswith("agent0: ")
    assert done.stderr.count("\n") == 1


def test_the_variables_of_the_hub_s_client_are_heeded(round_output: Path, hub: Hub, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from agent0.cli.main import main; main()", "tasks", "push", str(round_output)]
    own = {**os.environ, **hub.environment("alice"), "HF_HOME": str(tmp_path / "hf")}
    done = subprocess.run([*command, "alice/tasks", "--quiet"], capture_output=True, text=True, env=own, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert ("dataset", "alice/tasks") in hub.repositories


def test_what_holds_no_kept_tasks_is_told_before_a_hub_is_asked(tmp_path: Path, push: Any) -> None:
    done = push("tasks", "push", str(tmp_path), "lab/tasks")
    assert done.returncode == 2
    assert "holds no tasks that an evolution kept" in done.stderr
