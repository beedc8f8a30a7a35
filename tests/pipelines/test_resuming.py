"""Going on with a run of this machine: what it began with is kept, and MLflow learns of its end, however that came."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from made_up_history import made_up_history
from mlflow.tracking import MlflowClient

from agent0.config import load_config
from agent0.errors import UsageError
from agent0.stages.opening import Beginning
from agent0.storage.atomic_file import write_json
from agent0.storage.seal import seal
from agent0.tracking.mlflow_runs import start_run
from agent0.types import StageReport
from agent0_kfp.pipelines.aftermath import run_id_of
from agent0_kfp.pipelines.finished_rounds import begin_after
from agent0_kfp.pipelines.local_evolution import PIPELINE_FILE, LocalEvolution
from agent0_kfp.pipelines.run_file import RUN_FILE

FOLLOWED = """
import sys, time
from pathlib import Path
from agent0_kfp.pipelines.aftermath import followed
with followed(Path(sys.argv[1]), sys.argv[2], sys.stderr):
    print("runs", flush=True)
    if sys.argv[3] == "breaks":
        raise OSError(28, "No space left on device")
    if sys.argv[3] == "sleeps":
        time.sleep(300)
"""


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("begun") / "run"
    LocalEvolution.create(folder, load_config("tiny", ["iterations=1"]), f"sqlite:///{folder}/mlflow.db")
    return folder


@pytest.fixture
def folder(begun: Path, tmp_path: Path) -> Path:
    return shutil.copytree(begun, tmp_path / "run")


def edit(path: Path, change: Callable[[dict[str, object]], object]) -> None:
    run = json.loads(path.read_text())
    change(run)
    path.write_text(json.dumps(run))


@pytest.mark.parametrize(
    "change",
    [
        lambda path: edit(path, lambda run: run["config"]["executor"].update(steps=77)),
        lambda path: edit(path, lambda run: run.update(tracking_uri="sqlite:///other.db")),
        lambda path: edit(path, lambda run: run.pop("sha256")),
        lambda path: path.write_text(path.read_text()[:-40]),
        lambda path: path.write_text(""),
        lambda path: path.write_text("[]"),
        lambda path: path.write_text("[" * 100_000),
        lambda path: path.write_bytes(b"\xff\xfe"),
    ],
    ids=["a setting", "the store", "its digest", "cut short", "emptied", "other JSON", "nested", "no text"],
)
def test_a_run_whose_settings_were_changed_is_not_gone_on_with(change: Callable[[Path], object], folder: Path) -> None:
    LocalEvolution.resume(folder)
    change(folder / RUN_FILE)
    with pytest.raises(UsageError, match=r"run\.json was changed or damaged .* start another run with --set"):
        LocalEvolution.resume(folder)


def test_a_run_that_was_copied_with_its_store_tracks_to_the_copy(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    uri = f"sqlite:///{here}/mlflow.db?timeout=60"
    begun = LocalEvolution.create(here / "runs" / "first", load_config("tiny", ["iterations=1"]), uri)
    shutil.copytree(here, there)
    assert LocalEvolution.resume(begun.folder).tracking_uri == uri
    assert LocalEvolution.resume(there / "runs" / "first").tracking_uri == uri.replace(str(here), str(there))


@pytest.mark.parametrize("store", ["sqlite:///{}/mlflow.db", "http://127.0.0.1:9"])
def test_a_copy_beside_its_original_is_not_gone_on_with(store: str, tmp_path: Path) -> None:
    begun = LocalEvolution.create(tmp_path / "first", load_config("tiny", ["iterations=1"]), store.format(tmp_path))
    copy = shutil.copytree(begun.folder, tmp_path / "second")
    with pytest.raises(UsageError, match=f"is a copy of the run in {begun.folder}, and both would write to one"):
        LocalEvolution.resume(copy)
    shutil.rmtree(begun.folder)
    assert LocalEvolution.resume(copy).tracking_uri == begun.tracking_uri  # it was moved


@pytest.mark.parametrize(
    "damage", [lambda path: path.write_text(""), lambda path: path.unlink()], ids=["emptied", "removed"]
)
def test_a_damaged_pipeline_is_compiled_again(
    damage: Callable[[Path], object], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (folder / PIPELINE_FILE).read_bytes()
    damage(folder / PIPELINE_FILE)
    LocalEvolution.resume(folder)
    assert (folder / PIPELINE_FILE).read_bytes() == whole
    assert "it was compiled again from run.json" in capsys.readouterr().err


def test_a_damaged_pipeline_of_another_version_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / PIPELINE_FILE).write_text("")
    monkeypatch.setattr(
        "agent0_kfp.pipelines.local_evolution.compile_evolution",
        lambda config, path, options: path.write_text("another"),
    )
    with pytest.raises(UsageError, match="this version compiles another; install that one to go on"):
        LocalEvolution.resume(folder)


def test_another_run_begins_after_the_finished_rounds_with_settings_changed(folder: Path, tmp_path: Path) -> None:
    values, beginning = begin_after(folder)
    assert beginning == Beginning()  # nothing is finished: its settings alone
    finished = folder / "artifacts" / "first"
    places = [finished / "iteration-report" / "grown"]
    places += [finished / f"{role}-training-2" / "trained" for role in ("curriculum", "executor")]
    for place in places:
        place.mkdir(parents=True)
        report = StageReport(stage=place.parent.name, iteration=1, seconds=1, peak_memory_mb=1, metrics={})
        write_json(place / "stage.json", report.model_dump())
    write_json(places[0] / "history.json", made_up_history(1).model_dump())
    for place in places:
        seal(place)
    values, beginning = begin_after(folder)
    assert beginning == Beginning(2, str(places[1]), str(places[2]), str(places[0]))
    assert values["iterations"] == 2  # of the three that the history has planned
    config = load_config(values, ["executor.steps=3"])
    assert (config.executor.steps, config.recipe) == (3, "tiny")
    LocalEvolution.create(tmp_path / "second", config, f"sqlite:///{tmp_path}/mlflow.db", beginning)
    assert LocalEvolution.resume(tmp_path / "second").beginning == beginning
    one = load_config(values, ["one_model=true"])
    begun = LocalEvolution.create(tmp_path / "one", one, f"sqlite:///{tmp_path}/mlflow.db", beginning).beginning
    assert begun.curriculum_model_uri == begun.executor_model_uri == str(places[2])
    (places[2] / "stage.json").unlink()
    with pytest.raises(UsageError, match="no longer holds the executor agent of its round 1 whole"):
        begin_after(folder)


def test_a_damaged_report_is_not_published(folder: Path) -> None:
    for number, name in ((1, "first"), (2, "second")):
        report = folder / "artifacts" / name / "iteration-report" / "grown"
        report.mkdir(parents=True)
        for file in ("report.html", "summary.json", "history.json"):
            (report / file).write_text(json.dumps({"iterations": [name] * number}))
        seal(report)
    run = LocalEvolution.resume(folder)
    run.publish()
    assert "second" in (folder / "history.json").read_text()
    (report / "history.json").write_text("{")
    run.publish()
    assert "first" in (folder / "history.json").read_text()


@pytest.mark.parametrize(
    ("how", "status", "outcome"),
    [
        (signal.SIGKILL, "KILLED", "The process of the run was killed."),
        (signal.SIGTERM, "KILLED", "The process of the run was killed."),
        (signal.SIGHUP, "KILLED", "The process of the run was killed."),
        (signal.SIGINT, "KILLED", "Interrupted at the keyboard."),
        ("breaks", "KILLED", "The disk is full"),
        ("ends", "RUNNING", ""),  # the pipeline's own last task has told MLflow
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_mlflow_learns_how_a_run_ended(
    how: signal.Signals | str, status: str, outcome: str, tmp_path: Path, empty_store: Path
) -> None:
    shutil.copyfile(empty_store, tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    run_id = start_run(uri, "agent0", "evolution tiny seed 0", {}, {}, (0, 1))
    opening = tmp_path / "artifacts" / "first" / "opening" / "executor_output.json"
    opening.parent.mkdir(parents=True)
    opening.write_text(json.dumps({"parameterValues": {"Output": run_id}}))
    command = [sys.executable, "-c", FOLLOWED, str(tmp_path), uri, how if isinstance(how, str) else "sleeps"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "runs\n"
        if isinstance(how, signal.Signals):
            process.send_signal(how)
        process.communicate()  # ends once the follower, too, has closed its standard error
    client, deadline = MlflowClient(uri), time.monotonic() + 100
    while client.get_run(run_id).info.status != status and time.monotonic() < deadline:
        time.sleep(0.2)
    found = client.get_run(run_id)
    assert found.info.status == status
    assert outcome in found.data.tags.get("agent0.outcome", "")


def test_the_run_in_mlflow_is_found_where_an_attempt_was_damaged(tmp_path: Path) -> None:
    assert run_id_of(tmp_path) == ""
    for name, text in (("first", '{"parameterValues": {"Output": "abc"}}'), ("second", "{")):
        path = tmp_path / "artifacts" / name / "opening" / "executor_output.json"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    assert run_id_of(tmp_path) == "abc"
