from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from agent0.config import CurriculumSettings, LoraSettings, TrainingSettings
from agent0.errors import Agent0Error, UsageError
from agent0.storage.digest import folder_digest
from agent0.training.checkpoints import COMPLETE_FILE, complete_checkpoints, step_of
from agent0.training.gpu_placement import Placement, place
from agent0.training.launch import run_job
from agent0.training.training_job import STOP_FILE, PreemptedError, StepsReader, TrainingJob
from agent0.training.worker import train

MakeJob = Callable[..., TrainingJob]
ONE_PROCESS = Placement((), (), (), 1)


def weights(job: TrainingJob) -> str:
    return weights_of(job.output)


def numbers(history: list[dict[str, float]]) -> list[dict[str, float]]:
    """What two runs share: everything but how long things took, and what the sandbox counts in each attempt."""
    timed = ("step_time", "seconds")
    return [
        {k: value for k, value in row.items() if not k.endswith(timed) and not k.startswith("sandbox/")}
        for row in history
    ]


def nothing(*_: object) -> None:
    return None


def weights_of(folder: Path) -> str:
    return folder_digest(next(folder.glob("*.safetensors")))


def stop_after(job: TrainingJob, step: int, ask: Callable[[], None]) -> Callable[[Mapping[str, float], int], None]:
    def log(_: Mapping[str, float], at: int) -> None:
        if at == step:
            ask()

    return log


@pytest.mark.parametrize("way", ["file", "signal"])
def test_stopped_and_resumed_it_learns_the_same_numbers(make_job: MakeJob, way: str) -> None:
    whole, broken = make_job("whole"), make_job("broken")
    expected = train(whole, nothing)
    assert [row["step"] for row in expected] == [1, 2, 3, 4, 5, 6]
    programs = [row["sandbox/programs"] for row in expected]
    assert programs == sorted(programs)
    assert programs[-1] > programs[0] > 0

    broken.folder.mkdir()
    stop = broken.folder / STOP_FILE
    asks = {"file": stop.touch, "signal": lambda: signal.raise_signal(signal.SIGTERM)}
    with pytest.raises(PreemptedError, match="after 4 of 6 updates"):
        train(broken, stop_after(broken, 3, asks[way]))  # asked in the middle of a batch: it ends the batch first
    stop.unlink(missing_ok=True)
    logged: list[int] = []
    history = train(broken, lambda _, step: logged.append(step))
    assert numbers(history) == numbers(expected)
    assert logged == [1, 2, 3, 4, 5, 6]
    assert weights(broken) == weights(whole) != weights_of(whole.base)


def test_a_finished_training_is_not_run_again(make_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job("finished")
    history = train(job, nothing)
    digest = weights(job)
    shutil.rmtree(job.output)
    monkeypatch.setattr("agent0.training.worker.executor_trainer", None)  # a second training would fail
    assert train(job, nothing) == history
    assert weights(job) == digest


def test_a_checkpoint_that_was_not_finished_is_removed_and_not_trusted(make_job: MakeJob) -> None:
    whole, broken = make_job("whole"), make_job("broken")
    train(whole, nothing)
    with pytest.raises(PreemptedError):
        train(broken, stop_after(broken, 3, lambda: signal.raise_signal(signal.SIGTERM)))
    earlier, latest = complete_checkpoints(broken.workspace)
    assert (step_of(earlier), step_of(latest)) == (2, 4)
    (latest / COMPLETE_FILE).unlink()
    next(latest.rglob("*.safetensors")).write_bytes(b"half")
    train(broken, nothing)
    assert weights(broken) == weights(whole)


def test_of_a_training_that_has_ended_no_more_is_kept_than_its_result_needs(make_job: MakeJob) -> None:
    job = make_job("ended")
    train(job, nothing)
    (last,) = complete_checkpoints(job.workspace)
    assert step_of(last) == 6
    kept = sum(file.stat().st_size for file in last.rglob("*.safetensors"))
    assert kept == pytest.approx(next(job.output.glob("*.safetensors")).stat().st_size, rel=0.1)


def test_the_curriculum_agent_is_resumed_as_exactly(make_job: MakeJob, curriculum: CurriculumSettings) -> None:
    whole, broken = (
        make_job(name, agent="curriculum", algorithm=curriculum, frozen_executor=make_job(name).base)
        for name in ("whole", "broken")
    )
    expected = train(whole, nothing)
    with pytest.raises(PreemptedError):
        train(broken, stop_after(broken, 1, lambda: signal.raise_signal(signal.SIGTERM)))
    assert numbers(train(broken, nothing)) == numbers(expected)
    assert weights(broken) == weights(whole)


@pytest.mark.parametrize("rank", [0, 4])
def test_adapters_or_all_weights_learn_in_bfloat16_arithmetic_and_are_written_whole(
    make_job: MakeJob, rank: int
) -> None:
    training = TrainingSettings(lora=LoraSettings(rank=rank), precision="bfloat16", gradient_checkpointing=True)
    job = make_job("lora", training=training)
    job = job.model_copy(update={"algorithm": job.algorithm.model_copy(update={"steps": 1})})
    train(job, nothing)
    assert not list(job.output.glob("adapter*"))
    written, base = (load_file(next(folder.glob("*.safetensors"))) for folder in (job.output, job.base))
    assert {name: (tensor.shape, tensor.dtype) for name, tensor in written.items()} == {
        name: (tensor.shape, tensor.dtype) for name, tensor in base.items()
    }
    assert any(not torch.equal(written[name], base[name]) for name in base)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_train_one_model_and_go_on_after_sigterm_as_if_nothing_had_happened(make_job: MakeJob) -> None:
    # So long that the first step is read, and the signal answered, well before the last.
    algorithm = make_job("any").algorithm.model_copy(update={"steps": 12})
    whole, broken = (make_job(name, algorithm=algorithm) for name in ("whole", "broken"))
    two = Placement((), (), (), 2)
    logged: list[int] = []
    expected = run_job(whole, two, lambda _, step: logged.append(step))
    assert [row["step"] for row in expected] == logged == list(range(1, 25))
    assert weights(whole) != weights_of(whole.base)
    assert len(list(complete_checkpoints(whole.workspace)[-1].glob("rng_state_*.pth"))) == 2

    with pytest.raises(PreemptedError, match="run the stage again"):
        run_job(broken, two, stop_after(broken, 1, lambda: signal.raise_signal(signal.SIGTERM)))
    assert step_of(complete_checkpoints(broken.workspace)[-1]) in range(2, 24, 2)
    assert numbers(run_job(broken, two, nothing)) == numbers(expected)
    assert weights(broken) == weights(whole)


@pytest.mark.slow
def test_two_nodes_find_each_other_by_the_environment(make_job: MakeJob) -> None:
    job = make_job("nodes")
    file = job.write()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    rendezvous = {"PET_NNODES": "2", "PET_MASTER_ADDR": "127.0.0.1", "PET_MASTER_PORT": str(port)}
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=1", "-m", "agent0.training.worker"]
    nodes = [
        subprocess.Popen([*command, str(file)], env={**os.environ, **rendezvous, "PET_NODE_RANK": str(rank)})
        for rank in range(2)
    ]
    assert [node.wait(240) for node in nodes] == [0, 0]
    assert [step for _, step in StepsReader(job.folder).new()] == [1, 2, 3, 4, 5, 6]
    assert len(list(complete_checkpoints(job.workspace)[-1].glob("rng_state_*.pth"))) == 2


@pytest.mark.slow
def test_an_error_of_a_process_is_a_sentence(make_job: MakeJob) -> None:
    job = make_job("broken")
    job = job.model_copy(update={"base": job.folder / "nowhere"})
    with pytest.raises(Agent0Error, match=r"There is no model at .*nowhere"):
        run_job(job, Placement((), (), (), 2), nothing)


def test_gpus_are_shared_out_and_too_few_are_refused() -> None:
    settings = TrainingSettings(policy_gpus=1, executor_gpus=2)
    placement = place(settings, 8, policy_server=True, executor_server=True)
    assert placement == Placement((0, 1, 2, 3, 4), (5,), (6, 7), 5)
    assert place(settings, 8, policy_server=False, executor_server=False).processes == 8
    assert place(TrainingSettings(), 0, policy_server=False, executor_server=False) == ONE_PROCESS
    with pytest.raises(UsageError, match=r"training\.executor_gpus is 0"):
        place(settings.model_copy(update={"executor_gpus": 0}), 8, policy_server=False, executor_server=True)
    with pytest.raises(UsageError, match=r"training\.policy_gpus is 0"):
        place(settings.model_copy(update={"policy_gpus": 0}), 8, policy_server=True, executor_server=False)
    with pytest.raises(UsageError, match="leave none of 3 GPUs"):
        place(settings, 3, policy_server=True, executor_server=True)
    with pytest.raises(UsageError, match="there are none"):
        place(settings, 0, policy_server=False, executor_server=True)
    with pytest.raises(UsageError, match="only 5 GPUs are left"):
        place(settings.model_copy(update={"processes": 6}), 8, policy_server=True, executor_server=True)
