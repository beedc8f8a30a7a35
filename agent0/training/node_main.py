"""One node of a training on several: `python -m agent0.training.node_main JOB`, the command of a TrainJob's pods.

The runtime `torch-distributed` says in `PET_NNODES`, `PET_NODE_RANK`, `PET_MASTER_ADDR` and `PET_MASTER_PORT` where the
other nodes are; torchrun reads them. SIGTERM, and the silence of the pod that waits for the job, are passed on as the
job's stop file, which every process looks for, so that all save together.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from agent0.errors import Agent0Error
from agent0.rollout.vllm_environment import visible_gpus
from agent0.training.heartbeat import HEARTBEAT_FILE, left_alone, stop_when_left_alone
from agent0.training.launch import stop_on_sigterm, torchrun_command
from agent0.training.preflight import check_job
from agent0.training.training_job import ERROR_FILE, PreemptedError, TrainingJob
from agent0.training.worker import leave_word


def main(path: Path) -> int:
    """Train with one process per GPU of this node, or as many as the settings say; return torchrun's status."""
    job, gpus = TrainingJob.read(path), visible_gpus()
    processes = job.training.processes or max(1, gpus)
    try:
        if left_alone(job.folder):  # a node that ended for this is started again by Kubernetes
            raise PreemptedError(
                f"Nobody waits for this training any more, says {job.folder / HEARTBEAT_FILE}. Run the stage again and "
                "it goes on; to train without one that waits, delete that file."
            )
        check_job(job, gpus, processes * int(os.environ["PET_NNODES"]))
    except Agent0Error as error:
        leave_word(job.folder / ERROR_FILE, f"{error.exit_code}\n{error}")
        return error.exit_code
    with stop_on_sigterm(job.folder), stop_when_left_alone(job.folder):
        return subprocess.run(torchrun_command(processes, path), check=False).returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
