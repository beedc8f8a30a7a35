"""Running a training job: in this process, or in one process per GPU under torchrun.

On a GPU even a single process is started for itself: it must see the GPUs of the training only, or the trainer would
take those of the servers for its own.

torchrun reads `PET_NNODES`, `PET_NODE_RANK`, `PET_MASTER_ADDR` and `PET_MASTER_PORT` from the environment, so the same
command runs on each of several nodes: `torchrun --nproc-per-node N -m agent0.training.worker JOB`, with the job's
folder on storage that all see. (`accelerate launch` ignores them and would train alone.)
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent0.child_processes import die_with_parent
from agent0.errors import Agent0Error
from agent0.progress import UNSHOWN, Shown
from agent0.training.gpu_placement import Placement, visible_devices
from agent0.training.training_job import (
    ERROR_FILE,
    LOG_FILE,
    PREEMPTED_STATUS,
    STEPS_FILE,
    STOP_FILE,
    LogMetrics,
    PreemptedError,
    StepsReader,
    TrainingJob,
)

POLL_SECONDS = 0.5
TAIL_CHARACTERS = 2000


def run_job(job: TrainingJob, placement: Placement, log: LogMetrics, shown: Shown = UNSHOWN) -> list[dict[str, float]]:
    """Train; return each step's numbers, hand each to `log` as it is made, and show what is drawn for it.

    Raises:
        PreemptedError: SIGTERM came; a checkpoint is saved.
        Agent0Error: the training failed.
    """
    clear_messages(job.folder)
    if placement.processes == 1 and not placement.training:
        from agent0.training.worker import train

        return train(job, log, shown)
    return _torchrun(job, placement, log, shown)


def clear_messages(folder: Path) -> None:
    """Remove from a job's folder what an earlier attempt said."""
    for left in (STOP_FILE, STEPS_FILE, ERROR_FILE):
        (folder / left).unlink(missing_ok=True)


def torchrun_command(processes: int, job_file: Path) -> list[str]:
    """Return the command that trains with so many processes on this node; the environment says if there are others."""
    nodes = ["--standalone"] if "PET_NNODES" not in os.environ else []
    launcher = [sys.executable, "-m", "torch.distributed.run", *nodes, f"--nproc-per-node={processes}"]
    return [*launcher, "-m", "agent0.training.worker", str(job_file)]


def _torchrun(job: TrainingJob, placement: Placement, log: LogMetrics, shown: Shown) -> list[dict[str, float]]:
    command = torchrun_command(placement.processes, job.write())
    environment = dict(os.environ)
    if placement.training:
        environment["CUDA_VISIBLE_DEVICES"] = visible_devices(placement.training)
    reader = StepsReader(job.folder, shown)
    history: list[dict[str, float]] = []
    with (job.folder / LOG_FILE).open("w", encoding="utf-8") as output, stop_on_sigterm(job.folder):
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent,
        )
        try:
            ended = False
            while not ended:
                ended = _wait(process)
                for numbers, step in reader.new():
                    history.append({"step": float(step), **numbers})
                    log(numbers, step)
        finally:
            _end(process)
    if process.returncode:
        raise failure(job.folder, process.returncode)
    return history


def _wait(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    """End torchrun, and with it its workers, if something else than its own end brought us here."""
    if process.poll() is None:
        process.terminate()
        process.wait()


def failure(folder: Path, status: int) -> Agent0Error:
    """Return the error of the process that failed first, in its own words."""
    error = folder / ERROR_FILE
    if error.is_file():
        kind, _, message = error.read_text(encoding="utf-8").partition("\n")
        return PreemptedError(message) if kind == str(PREEMPTED_STATUS) else Agent0Error(message)
    log = folder / LOG_FILE
    tail = log.read_text(encoding="utf-8", errors="replace")[-TAIL_CHARACTERS:] if log.is_file() else ""
    return Agent0Error(
        f"The training processes ended with status {status} and no word of their own; the end of {log} is:\n{tail}"
    )


@contextmanager
def stop_on_sigterm(folder: Path) -> Iterator[None]:
    """Pass SIGTERM on as the file that the processes look for: torchrun itself would give them 30 s only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: (folder / STOP_FILE).touch())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
