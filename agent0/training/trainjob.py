"""Training on several nodes as a Kubeflow TrainJob (trainer.kubeflow.org/v1alpha1) that this pod starts and waits for.

The job's folder lies on a volume that this pod and the nodes mount: the nodes read the job, write checkpoints and tell
each step's numbers there. Environment, volumes, tolerations, node selector and whatever resources the settings do not
name are those of this pod, as Kubeflow forwards them in a `TaskConfig`; pull secrets are read from the pod itself.
The nodes meet the Pod Security Standard `restricted`.

A job's name comes from its folder, so a pod that is started again finds the job of the attempt before and waits on.
Where the pod serves the frozen executor, the old nodes ask servers that are gone: the job is made anew and goes on at
its checkpoint.

However the waiting ends, the job is deleted; its nodes are given time to save. If this pod is gone before it could,
they miss its heartbeat.
"""

from __future__ import annotations

import hashlib
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from agent0.errors import Agent0Error
from agent0.training.grpo import LogMetrics
from agent0.training.heartbeat import beat
from agent0.training.job import STOP_FILE, PreemptedError, StepsReader, TrainingJob
from agent0.training.kubernetes_api import Cluster
from agent0.training.launch import clear_messages, failure
from agent0.training.nodes import Nodes

POLL_SECONDS = 2.0
CONTAINER = "node"
"""Name of the trainer's container and of its job in the runtime `torch-distributed`."""
POD_SECURITY = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
CONTAINER_SECURITY = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def run_trainjob(job: TrainingJob, nodes: Nodes, log: LogMetrics, poll: float = POLL_SECONDS) -> list[dict[str, float]]:
    """Train on the nodes; return each step's numbers, and hand each to `log` as it is made.

    Raises:
        PreemptedError: SIGTERM came; the nodes were asked to save and end.
        Agent0Error: the training failed, or the cluster refused the job.
    """
    cluster = Cluster.connect()
    name = job_name(job)
    if job.executor_endpoints or not cluster.running(name):
        cluster.remove(name)
        clear_messages(job.folder)
        body = manifest(name, job, nodes, cluster.pull_secrets())
        beat(job.folder)
        cluster.create(body)
    history: list[dict[str, float]] = []
    reader = StepsReader(job.folder)

    def look() -> None:
        for numbers, step in reader.new():
            history.append({"step": float(step), **numbers})
            log(numbers, step)

    with _raised_by_sigterm():
        try:
            with cluster.following(name, CONTAINER, sys.stderr):
                while (ended := cluster.outcome(name)) is None:
                    beat(job.folder)
                    look()
                    time.sleep(poll)
            look()
        except _CancelledError:
            raise PreemptedError(
                f"The stage was asked to stop and has ended TrainJob {name}; its nodes have "
                f"{job.training.trainjob.grace_seconds} s to save. Run the stage again and it goes on there."
            ) from None
        finally:
            cluster.delete(name)  # first: a pod that is cancelled has about a second left
            (job.folder / STOP_FILE).touch()
    if not ended.succeeded:
        raise failure(job.folder, 1) if job.failed else Agent0Error(f"TrainJob {name} failed: {ended.message}")
    return history


def job_name(job: TrainingJob) -> str:
    """Return the name of the job that trains in a folder: the same for every attempt."""
    return f"agent0-{job.agent}-{hashlib.sha256(str(job.folder).encode()).hexdigest()[:12]}"


def manifest(name: str, job: TrainingJob, nodes: Nodes, pull_secrets: Sequence[str] = ()) -> dict[str, Any]:
    """Return the TrainJob as Kubernetes' JSON; `pull_secrets` hold the registry's credentials."""
    settings, pod = job.training.trainjob, nodes.pod
    container = {"name": CONTAINER, "volumeMounts": pod.get("volume_mounts"), "securityContext": CONTAINER_SECURITY}
    patch = {
        "imagePullSecrets": [{"name": secret} for secret in pull_secrets],
        "securityContext": POD_SECURITY,
        "volumes": pod.get("volumes"),
        "tolerations": pod.get("tolerations"),
        "nodeSelector": pod.get("node_selector"),
        "affinity": pod.get("affinity"),
        "terminationGracePeriodSeconds": settings.grace_seconds,
        "containers": [_filled(container)],
    }
    trainer = {
        "image": nodes.image,
        "numNodes": settings.nodes,
        "command": ["python", "-m", "agent0.training.node", str(job.write())],
        "resourcesPerNode": _resources(pod.get("resources") or {}, settings.resources),
        "env": pod.get("env"),
    }
    replicated = {"name": CONTAINER, "template": {"spec": {"template": {"spec": _filled(patch)}}}}
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": "agent0"}},
        "spec": {
            "runtimeRef": {"name": settings.runtime},
            "trainer": _filled(trainer),
            "runtimePatches": [
                {
                    "manager": "agent0.dev/training",
                    "trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": [replicated]}}},
                }
            ],
        },
    }


def _resources(pod: Mapping[str, Mapping[str, str]], named: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return a pod's resources with those that the settings name over them, requested and as limits."""
    return _filled({kind: {**(pod.get(kind) or {}), **named} for kind in ("limits", "requests")})


def _filled(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value}


class _CancelledError(BaseException):
    """SIGTERM came; no handler of errors on its way takes it for one."""


@contextmanager
def _raised_by_sigterm() -> Iterator[None]:
    """Break off whatever waits in the block when SIGTERM comes; only the first counts."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def cancel(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise _CancelledError

    before = signal.signal(signal.SIGTERM, cancel)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
