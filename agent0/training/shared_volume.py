"""What training on several nodes needs of this pod: a folder that all mount, with everything that they read."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent0.errors import UsageError
from agent0.progress import UNSHOWN, Shown
from agent0.storage import transfer
from agent0.training.training_job import LogMetrics, TrainingJob

READ = ("base", "tasks", "negative_tasks", "anchor_tasks", "earlier_tasks", "earlier_questions", "frozen_executor")
"""Fields of a job that are folders which its processes read."""


@dataclass(frozen=True)
class Nodes:
    """What the nodes of a TrainJob are made of: the image, and a pod's settings in Kubernetes' JSON form.

    Attributes:
        image: of the trainer's container.
        pod: fields of Kubeflow's `TaskConfig`: resources, env, volumes, volume_mounts, tolerations, node_selector,
            affinity; None or missing where there is nothing.
    """

    image: str
    pod: Mapping[str, Any]

    def check_shared(self, folder: Path) -> None:
        """Check that a folder lies on a volume that the nodes will mount, too.

        Raises:
            UsageError: it does not.
        """
        mounts = [Path(mount["mountPath"]) for mount in self.pod.get("volume_mounts") or ()]
        if not any(folder.is_relative_to(mount) for mount in mounts):
            raise UsageError(
                f"training.launcher 'trainjob' needs the workspace {folder} on a volume that all nodes mount; compile "
                "the pipeline with -O shared_volume=CLAIM -O workspace=/shared, the claim being ReadWriteMany."
            )


def train_on_nodes(
    job: TrainingJob, nodes: Nodes | None, log: LogMetrics, shown: Shown = UNSHOWN
) -> list[dict[str, float]]:
    """Put what a job reads beside its workspace, train there as a TrainJob, and bring the model back.

    Returns:
        Each step's numbers; `log` gets them as they are made, and `shown` what is drawn meanwhile.

    Raises:
        UsageError: the workspace is on no volume that the nodes mount, or a server that they cannot reach is asked for.
        PreemptedError: SIGTERM came.
        Agent0Error: the training failed.
    """
    from agent0.training.trainjob import run_trainjob  # the Kubernetes client takes a second to import

    if nodes is None:
        raise UsageError("training.launcher is 'trainjob', which needs a pod on Kubeflow; set it to 'pod' here.")
    if job.training.policy_backend == "vllm_server":
        raise UsageError(
            "training.policy_backend 'vllm_server' serves one pod only; with training.launcher 'trainjob' set it to "
            "'vllm', which draws on each node."
        )
    if job.remote:
        raise UsageError(
            f"training.launcher 'trainjob' cannot keep its workspace at {job.remote}: the nodes work in one folder. "
            "Compile the pipeline with -O shared_volume=CLAIM -O workspace=/shared."
        )
    nodes.check_shared(job.workspace)
    shared = job.workspace.with_name(f"{job.workspace.name}.job")
    moved = {name: _share(source, shared / name) for name in READ if (source := getattr(job, name)) is not None}
    made = {"output": shared / "trained", "master": job.master and shared / "master"}
    there = job.model_copy(update={**moved, **made, "folder": shared})
    history = run_trainjob(there, nodes, log, shown)
    shutil.copytree(there.output, job.output, dirs_exist_ok=True)
    if there.master and job.master:
        shutil.move(there.master, job.master)
    return history


def own_address() -> str:
    """Return this machine's address as other pods reach it."""
    return socket.gethostbyname(socket.gethostname())


def _share(source: Path, place: Path) -> Path:
    """Copy a folder, whole or not at all; what an earlier attempt copied is not copied again."""
    transfer.put(source, str(place))
    return place
