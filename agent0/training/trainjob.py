"""Training on several nodes as a Kubeflow TrainJob (trainer.kubeflow.org/v1alpha1) that this pod starts and waits for.

The job's folder lies on a volume that this pod and the nodes mount: the nodes read the job, write checkpoints and tell
each step's numbers there. Environment, volumes, tolerations, node selector and, unless the settings name others, the
resources are those of this pod, as Kubeflow forwards them in a `TaskConfig`.

A job's name comes from its folder, so a pod that is started again finds the job of the attempt before and waits on.
However the waiting ends, the job is deleted; its nodes are given time to save.
"""

from __future__ import annotations

import hashlib
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from agent0.errors import Agent0Error
from agent0.training.grpo import LogMetrics
from agent0.training.job import STOP_FILE, PreemptedError, StepsReader, TrainingJob
from agent0.training.kubernetes_api import Cluster
from agent0.training.launch import clear_messages, failure
from agent0.training.nodes import Nodes

POLL_SECONDS = 2.0
CONTAINER = "node"
"""Name of the trainer's container and of its job in the runtime `torch-distributed`."""


def run_trainjob(job: TrainingJob, nodes: Nodes, log: LogMetrics, poll: float = POLL_SECONDS) -> list[dict[str, float]]:
    """Train on the nodes; return each step's numbers, and hand each to `log` as it is made.

    Raises:
        PreemptedError: SIGTERM came; the nodes were asked to save and end.
        Agent0Error: the training failed, or the cluster refused the job.
    """
    cluster = Cluster.connect()
    name = job_name(job)
    if not cluster.running(name):
        clear_messages(job.folder)
        cluster.create(manifest(name, job, nodes))
    history: list[dict[str, float]] = []
    reader = StepsReader(job.folder)

    def look() -> None:
        for numbers, step in reader.new():
            history.append({"step": float(step), **numbers})
            log(numbers, step)

    with _cancelled_by_sigterm() as cancelled:
        try:
            with cluster.following(name, CONTAINER, sys.stderr):
                while (ended := cluster.outcome(name)) is None and not cancelled.wait(poll):
                    look()
            look()
        finally:
            (job.folder / STOP_FILE).touch()
            cluster.delete(name)
    if ended is None:
        raise PreemptedError(
            f"The stage was asked to stop and has ended TrainJob {name}; its nodes have "
            f"{job.training.trainjob.grace_seconds} s to save. Run the stage again and it goes on there."
        )
    if not ended.succeeded:
        raise failure(job.folder, 1) if job.failed else Agent0Error(f"TrainJob {name} failed: {ended.message}")
    return history


def job_name(job: TrainingJob) -> str:
    """Return the name of the job that trains in a folder: the same for every attempt."""
    return f"agent0-{job.agent}-{hashlib.sha256(str(job.folder).encode()).hexdigest()[:12]}"


def manifest(name: str, job: TrainingJob, nodes: Nodes) -> dict[str, Any]:
    """Return the TrainJob as Kubernetes' JSON."""
    settings, pod = job.training.trainjob, nodes.pod
    own = {"limits": dict(settings.resources), "requests": dict(settings.resources)}
    patch = {
        "volumes": pod.get("volumes"),
        "tolerations": pod.get("tolerations"),
        "nodeSelector": pod.get("node_selector"),
        "affinity": pod.get("affinity"),
        "terminationGracePeriodSeconds": settings.grace_seconds,
        "containers": [{"name": CONTAINER, "volumeMounts": pod["volume_mounts"]}] if pod.get("volume_mounts") else None,
    }
    trainer = {
        "image": nodes.image,
        "numNodes": settings.nodes,
        "command": ["python", "-m", "agent0.training.node", str(job.write())],
        "resourcesPerNode": own if settings.resources else pod.get("resources"),
        "env": pod.get("env"),
    }
    template = {"spec": {key: value for key, value in patch.items() if value}}
    replicated = {"name": CONTAINER, "template": {"spec": {"template": template}}}
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": "agent0"}},
        "spec": {
            "runtimeRef": {"name": settings.runtime},
            "trainer": {key: value for key, value in trainer.items() if value},
            "runtimePatches": [
                {
                    "manager": "agent0.dev/training",
                    "trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": [replicated]}}},
                }
            ],
        },
    }


@contextmanager
def _cancelled_by_sigterm() -> Iterator[threading.Event]:
    """Yield an event that SIGTERM sets for the length of the block."""
    cancelled = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield cancelled
        return
    before = signal.signal(signal.SIGTERM, lambda *_: cancelled.set())
    try:
        yield cancelled
    finally:
        signal.signal(signal.SIGTERM, before)
