"""When checkpoints are made, what they hold, and what stands in their way."""

from __future__ import annotations

import errno
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
import pytest
import torch
from stage_training import train_in_stage

from agent0.config import CheckpointSettings, LoraSettings, TrainingSettings
from agent0.errors import Agent0Error, UsageError
from agent0.stages import Stage
from agent0.stages.executor_training import HEADLINE
from agent0.storage.workspace import Workspace
from agent0.training import checkpoint_writer, checkpoints
from agent0.training.checkpoint_writer import CheckpointWriter
from agent0.training.checkpoints import (
    COMPLETE_FILE,
    GB,
    check_room,
    checkpoint_bytes,
    complete_checkpoints,
    free_bytes,
    step_of,
)
from agent0.training.preflight import check_job
from agent0.training.sharded_state import (
    OPTIMIZER,
    WEIGHTS,
    State,
    file_numbers,
    final_state,
    read_state,
    training_state,
)
from agent0.training.training_job import TrainingJob
from agent0.training.worker import train

MakeJob = Callable[..., TrainingJob]
PATIENCE_SECONDS = 30.0


@dataclass(frozen=True)
class SlowWorkspace(Workspace):
    """A workspace whose remote takes as long as it is told."""

    arrived: threading.Event = field(default_factory=threading.Event)
    may_end: threading.Event = field(default_factory=threading.Event)

    def save(self, name: str) -> None:
        self.arrived.set()
        assert self.may_end.wait(PATIENCE_SECONDS)


@pytest.fixture
def trained() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    """A model after one update, half of it frozen."""
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 4))
    model[0].requires_grad_(False)
    optimizer = torch.optim.AdamW(model[1].parameters(), lr=0.1)
    model(torch.randn(2, 4)).sum().backward()
    optimizer.step()
    return model, optimizer


def copied(state: State) -> State:
    return {part: {name: tensor.clone() for name, tensor in tensors.items()} for part, tensors in state.items()}


def equal(one: State, other: State) -> bool:
    return all(torch.equal(one[part][name], other[part][name]) for part in one for name in one[part])


def writer_in(folder: Path, workspace: Workspace | None = None) -> CheckpointWriter:
    return CheckpointWriter(workspace or Workspace(folder), 2, "ddp")


def test_what_was_held_is_what_is_read_whatever_the_weights_are_then(
    trained: tuple[torch.nn.Module, torch.optim.Optimizer], tmp_path: Path
) -> None:
    model, optimizer = trained
    state, writer = training_state(model, optimizer), writer_in(tmp_path)
    assert set(state[WEIGHTS]) == {"1.weight", "1.bias"}
    assert {name.rpartition(".")[2] for name in state[OPTIMIZER]} == {"step", "exp_avg", "exp_avg_sq"}
    before = copied(state)
    with writer.at_work():
        writer.begin(1, state)
        writer.hold()
        model(torch.randn(2, 4)).sum().backward()
        optimizer.step()
    assert not equal(state, before)
    read_state(state, tmp_path / "checkpoint-1")
    assert equal(training_state(model, optimizer), before)
    assert not list(tmp_path.rglob(".metadata"))  # a pickle


def test_the_trainer_does_not_wait_for_a_remote_but_the_next_checkpoint_does(
    trained: tuple[torch.nn.Module, torch.optim.Optimizer], tmp_path: Path
) -> None:
    workspace = SlowWorkspace(tmp_path)
    writer, state = writer_in(tmp_path, workspace), training_state(*trained)
    with writer.at_work():
        writer.begin(1, state)
        assert workspace.arrived.wait(PATIENCE_SECONDS)
        writer.look()
        second = threading.Thread(target=writer.begin, args=(2, state))
        second.start()
        time.sleep(0.3)
        assert second.is_alive()
        workspace.may_end.set()
        second.join(PATIENCE_SECONDS)
    assert [step_of(path) for path in complete_checkpoints(tmp_path)] == [1, 2]


def test_the_copy_of_a_state_is_let_go_when_it_is_written(tmp_path: Path) -> None:
    workspace, size = SlowWorkspace(tmp_path), 256 << 20
    writer, state = writer_in(tmp_path, workspace), {WEIGHTS: {"weight": torch.ones(size // 4)}}
    before = psutil.Process().memory_info().rss
    with writer.at_work():
        writer.begin(1, state)
        assert workspace.arrived.wait(PATIENCE_SECONDS)  # it lies on the disk, and is copied from there
        assert psutil.Process().memory_info().rss - before < size // 2
        workspace.may_end.set()


def test_large_states_are_cut_into_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent0.training.sharded_state.FILE_BYTES", 100)
    state = {WEIGHTS: {str(number): torch.zeros(10) for number in range(5)}}
    assert file_numbers(state) == {WEIGHTS: {"0": 1, "1": 1, "2": 2, "3": 2, "4": 3}}


def test_a_checkpoint_that_cannot_be_written_stops_the_training_with_a_sentence(make_job: MakeJob) -> None:
    job = make_job("blocked")

    def log(_: object, step: int) -> None:
        if step == 1:
            (job.workspace / "checkpoint-2").mkdir(parents=True)
            (job.workspace / "checkpoint-2" / WEIGHTS).touch()

    with pytest.raises(Agent0Error, match=r"could not write a checkpoint to .*workspace"):
        train(job, log)


def seen_at_the_end(job: TrainingJob, newest: int) -> list[int]:
    """Train and return the checkpoints before the last, once the newest of them is whole."""
    seen: list[int] = []

    def log(_: object, step: int) -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        while step == job.updates and time.monotonic() < until:
            seen[:] = [step_of(path) for path in complete_checkpoints(job.workspace)]
            if not newest or newest in seen:
                return
            time.sleep(0.05)

    train(job, log)
    return seen


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (CheckpointSettings(every=0), []),
        (CheckpointSettings(every=0, every_minutes=1e-6), [2, 4]),
        (CheckpointSettings(every=0, every_minutes=60), []),
        (CheckpointSettings(every=2, every_minutes=60), [4]),
    ],
)
def test_checkpoints_are_made_by_count_and_by_time(
    make_job: MakeJob, settings: CheckpointSettings, expected: list[int]
) -> None:
    job = make_job("timed", training=TrainingSettings(checkpoints=settings))
    assert seen_at_the_end(job, expected[-1] if expected else 0) == expected
    assert [step_of(path) for path in complete_checkpoints(job.workspace)] == [6]


def run_stage(job: TrainingJob, training: TrainingSettings) -> None:
    """Train as a stage does that remembers its settings."""
    stage = replace(Stage.untracked("executor_training"), fingerprint={"training": training.model_dump(mode="json")})
    train_in_stage(job, stage, training=training, headline=HEADLINE)


def test_a_stage_says_which_sharding_reads_the_checkpoints_that_are_there(make_job: MakeJob) -> None:
    job = make_job("resharded")
    written = TrainingSettings(sharding="zero3", policy_backend="vllm")
    stage = replace(Stage.untracked("executor_training"), fingerprint={"training": written.model_dump(mode="json")})
    workspace = stage.workspace(job.output)
    complete_with(job.model_copy(update={"workspace": workspace.folder}), format="DeepSpeed")
    with pytest.raises(UsageError, match=r"was written by DeepSpeed.*set training\.sharding to 'zero3', or remove"):
        run_stage(job, written.model_copy(update={"sharding": "ddp"}))


def complete_with(job: TrainingJob, **said: str) -> None:
    checkpoint = job.workspace / "checkpoint-2"
    checkpoint.mkdir(parents=True, exist_ok=True)
    (checkpoint / COMPLETE_FILE).write_text(json.dumps({"step": 2, **said}))


@pytest.mark.parametrize(
    ("said", "sharding", "sentence"),
    [
        (
            {"format": "DeepSpeed"},
            "ddp",
            "was written by DeepSpeed, and training.sharding 'ddp' .*set training.sharding to 'zero3', or remove",
        ),
        (
            {"format": "torch.distributed.checkpoint"},
            "zero3",
            "was written by torch.distributed.checkpoint, .*'zero3'.* to 'ddp' or 'fsdp2', or remove",
        ),
        ({}, "ddp", "was written by an earlier version, and .*; remove .* to train anew"),
    ],
)
def test_a_checkpoint_of_the_other_format_is_refused_before_work(
    make_job: MakeJob, said: dict[str, str], sharding: str, sentence: str
) -> None:
    from agent0.training.checkpoints import check_format

    job = make_job("other", training=TrainingSettings.model_validate({"sharding": sharding}))
    complete_with(job, **said)
    with pytest.raises(UsageError, match=sentence):
        check_format(job)
    if sharding == "ddp":
        with pytest.raises(UsageError, match=sentence):
            train(job, lambda *_: None)


def test_a_disk_too_small_for_the_checkpoints_is_refused_before_a_weight_is_loaded(make_job: MakeJob) -> None:
    job = make_job("small")
    size = checkpoint_bytes(job)
    keep = int(free_bytes(job.workspace) / size) + 1
    settings = TrainingSettings(checkpoints=CheckpointSettings(keep=keep))
    sentence = (
        rf"takes {size / GB:.3g} GB, and training\.checkpoints\.keep {keep} needs.*lower training\.check.*WORKSPACE"
    )
    with pytest.raises(UsageError, match=sentence):
        check_job(job.model_copy(update={"training": settings}), 0, 1)
    with pytest.raises(UsageError, match=sentence):
        run_stage(job, settings)
    assert not job.output.exists()
    run_stage(job, TrainingSettings(checkpoints=CheckpointSettings(keep=1)))  # as the sentence says
    assert job.output.exists()


def test_a_disk_that_was_filled_meanwhile_is_said_before_the_next_checkpoint(
    trained: tuple[torch.nn.Module, torch.optim.Optimizer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = training_state(*trained)
    size = 3 * (4 * 4 + 4) * 4 + 2 * 4  # a matrix and a bias, two moments of each, the number of their updates
    monkeypatch.setattr(checkpoints, "free_bytes", lambda _: size - 1)
    writer = writer_in(tmp_path)
    with (
        writer.at_work(),
        pytest.raises(Agent0Error, match=rf"next checkpoint takes {size / GB:.3g} GB and .* left; free space there"),
    ):
        writer.begin(1, state)
    assert complete_checkpoints(tmp_path) == []


def test_the_last_checkpoint_needs_room_for_the_weights_alone(
    trained: tuple[torch.nn.Module, torch.optim.Optimizer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "free_bytes", lambda _: (4 * 4 + 4) * 4)
    writer = writer_in(tmp_path)
    with writer.at_work():
        writer.begin(6, final_state(trained[0]))
        writer.finish()
    assert [step_of(path) for path in complete_checkpoints(tmp_path)] == [6]


def test_what_deepspeed_has_written_already_needs_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "free_bytes", lambda _: 0)
    writer = CheckpointWriter(Workspace(tmp_path), 2, "zero3")
    (tmp_path / "checkpoint-2").mkdir()
    with writer.at_work():
        writer.begin(2, None)
        writer.finish()
    assert [step_of(path) for path in complete_checkpoints(tmp_path)] == [2]


def test_a_disk_that_is_full_when_a_checkpoint_is_marked_whole_is_said_in_a_sentence(
    trained: tuple[torch.nn.Module, torch.optim.Optimizer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint_writer, "complete", full)
    writer = writer_in(tmp_path)
    with writer.at_work():
        writer.begin(1, training_state(*trained))
        with pytest.raises(
            Agent0Error, match=r"checkpoint in .* could not be finished\. The disk is full .*free space"
        ):
            writer.finish()


def test_the_size_of_a_checkpoint_is_known_before_it_is_written(make_job: MakeJob, tmp_path: Path) -> None:
    for rank in (0, 4):
        job = make_job(f"rank{rank}", training=TrainingSettings(lora=LoraSettings(rank=rank)))
        check_room(job)
        sizes: list[int] = []

        def log(_: object, step: int, job: TrainingJob = job, sizes: list[int] = sizes) -> None:
            until = time.monotonic() + PATIENCE_SECONDS
            while step == job.updates and not sizes and time.monotonic() < until:
                whole = complete_checkpoints(job.workspace)
                sizes += [sum(file.stat().st_size for file in path.rglob("*.safetensors")) for path in whole[1:]]
                time.sleep(0.05)

        train(job, log)
        said = checkpoint_bytes(job)
        assert sizes[0] == pytest.approx(said, rel=0.1) if rank == 0 else sizes[0] <= 1.2 * said
