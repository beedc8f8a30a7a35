"""Outputs for S3 that were not finished, here or elsewhere; a folder of this machine stands for the store."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agent0.cli.main import app
from agent0.errors import UsageError
from agent0.evaluation.sample_runner import Keeper
from agent0.storage import transfer
from agent0.storage.open_store import opened
from agent0.storage.uri_files import OutputFolder, output_folder

PLACE = "s3://lab/out"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that stands for the store."""

    def instead(uri: str, *arguments: Any) -> AbstractContextManager[Any]:
        return opened(uri.replace("s3:/", str(tmp_path / "store")), *arguments)

    monkeypatch.setattr(transfer, "opened", instead)
    return tmp_path / "store"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Go over to a machine, which has a cache of its own."""
    return lambda name: monkeypatch.setenv("AGENT0_CACHE", str(tmp_path / name))


def break_off(*, resume: bool = False, then: Callable[[OutputFolder], None]) -> None:
    def run() -> None:
        with output_folder(PLACE, resume=resume, pieces=["a/one", "a/two"]) as output:
            then(output)
            raise TimeoutError

    with pytest.raises(TimeoutError):
        run()


def write(output: OutputFolder, name: str, text: str) -> None:
    path = output.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_another_machine_goes_on_with_the_pieces_that_were_kept(store: Path, machine: Callable[[str], None]) -> None:
    def begin(output: OutputFolder) -> None:
        write(output, "a/one", "1")
        output.keep("a/one")
        write(output, "a/two", "lost with the machine")

    machine("first")
    break_off(then=begin)
    machine("second")
    with output_folder(PLACE, resume=True, pieces=["a/one", "a/two"]) as output:
        assert [path.name for path in output.folder.rglob("*") if path.is_file()] == ["one"]
        write(output, "a/two", "2")
    assert transfer.entries("s3://lab") == ["out"]
    assert {record.path for record in transfer.manifest_of(PLACE).files} == {"a/one", "a/two"}


def test_unfinished_work_does_not_replace_what_was_stored_meanwhile(
    store: Path, machine: Callable[[str], None]
) -> None:
    machine("first")
    break_off(then=lambda output: write(output, "a/one", "old"))
    machine("second")
    with output_folder(PLACE, resume=False) as output:
        write(output, "a/one", "new")
    machine("first")
    for resume, message in ((True, "was stored from elsewhere"), (False, "is stored already")):
        with pytest.raises(UsageError, match=message), output_folder(PLACE, resume=resume):
            pass
    assert (store / "lab" / "out" / "a" / "one").read_text() == "new"


def test_work_that_comes_from_what_is_stored_is_gone_on_with(store: Path, machine: Callable[[str], None]) -> None:
    def finish(output: OutputFolder) -> None:
        write(output, "a/one", "1")
        output.store()  # and what comes after it fails

    machine("first")
    break_off(then=finish)
    break_off(resume=True, then=lambda output: write(output, "a/two", "2"))
    with output_folder(PLACE, resume=True) as output:
        assert (output.folder / "a" / "two").read_text() == "2"
    assert {record.path for record in transfer.manifest_of(PLACE).files} == {"a/one", "a/two"}


def test_a_whole_bucket_is_no_output(machine: Callable[[str], None]) -> None:
    machine("first")
    with pytest.raises(UsageError, match="s3://lab is a whole bucket"), output_folder("s3://lab", resume=False):
        pass


def test_an_evaluation_whose_machine_is_lost_is_gone_on_with_elsewhere(
    store: Path,
    machine: Callable[[str], None],
    random_model: Any,
    tokenizer: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    random_model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    settings = ["evaluation.questions_per_level=2", "evaluation.samples=1", "evaluation.logs=false"]
    settings += ["rollout.max_response_tokens=8", "rollout.max_observation_tokens=4", "rollout.batch_size=2"]
    command = ["evaluate", "--model", str(tmp_path / "model"), "--output", PLACE, "--no-tool"]
    command += [part for setting in settings for part in ("--set", setting)]
    monkeypatch.setattr("agent0.evaluation.sample_runner.KEEP_SECONDS", 0.0)
    show, shown = Keeper.show, 0

    def lose(self: Keeper, assignment: Any, done: int) -> None:
        nonlocal shown
        show(self, assignment, done)
        shown += 1
        if shown == 2:
            raise TimeoutError

    monkeypatch.setattr(Keeper, "show", lose)
    machine("first")
    assert isinstance(CliRunner().invoke(app, command).exception, TimeoutError)
    shutil.rmtree(tmp_path / "first")
    kept = (store / "lab" / "out.unfinished" / "tiny" / "samples.jsonl").read_text()
    assert kept.count("\n") == 4
    machine("second")
    done = CliRunner().invoke(app, [*command, "--resume"])
    assert done.exit_code == 0, done.output
    samples = (store / "lab" / "out" / "tiny" / "samples.jsonl").read_text()
    assert samples.startswith(kept)
    assert samples.count("\n") == 10
    assert transfer.entries("s3://lab") == ["out"]
