"""Training on several nodes as a Kubeflow TrainJob (trainer.kubeflow.org/v1alpha1) that this pod starts and waits for.

The job's folder lies on a volume that this pod and the nodes mount: the nodes read the job, write checkpoints and tell
each step's numbers there. Environment, volumes, tolerations, node selector and whatever resources the settings do not
name are those of this pod, as Kubeflow forwards them in a `TaskConfig`; pull secrets are read from the pod itself.
The nodes meet the Pod Security Standard `restricted`.

A job's name comes from its folder, so a pod that is started again finds the job of the attempt before and waits on.
Where the pod serves the frozen executor, the old nodes ask servers that are gone: the job is made anew and goes on at
its checkpoint.

A job may be suspended, before it starts or while it runs: Kueue does so where a queue is named and has no room. Its
nodes save and end; those that start when it is resumed go on.

However the waiting ends, the job is deleted; its nodes are given time to save. If this pod is gone before it could,
they miss its heartbeat.
"""

from __future__ import annotations

import hashlib
import math
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from agent0.config import TrainJobSettings
from agent0.config.training import PART_OF_LABEL, QUEUE_LABEL
from agent0.errors import Agent0Error
from agent0.progress import UNSHOWN, Shown
from agent0.training.forwarded import environment, volumes_and_mounts
from agent0.training.heartbeat import beat
from agent0.training.kubernetes_api import Cluster, Outcome
from agent0.training.launch import clear_messages, failure
from agent0.training.shared_volume import Nodes
from agent0.training.training_job import STOP_FILE, LogMetrics, PreemptedError, StepsReader, TrainingJob

POLL_SECONDS = 2.0
HOUR = 3600
DEADLINE_REASON = "DeadlineExceeded"
"""What the trainer's controller gives as the reason where `activeDeadlineSeconds` ended a job."""
CONTAINER = "node"
"""Name of the trainer's container and of its job in the runtime `torch-distributed`."""
NO_SIDECAR = {"sidecar.istio.io/inject": "false"}
"""In a mesh: with a proxy beside them nodes would not reach each other, nor ever end. Steps have it from the server."""
POD_SECURITY = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
CONTAINER_SECURITY = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def run_trainjob(
    job: TrainingJob, nodes: Nodes, log: LogMetrics, shown: Shown = UNSHOWN, poll: float = POLL_SECONDS
) -> list[dict[str, float]]:
    """Train on the nodes; return each step's numbers, hand each to `log` as it is made, and show what is drawn for it.

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
    steps, limit = _Steps(job, log, shown), _Patience(cluster, name, job.training.trainjob)
    with _raised_by_sigterm():
        try:
            with cluster.following(name, CONTAINER, sys.stderr):
                while (state := cluster.state(name)).ended is None:
                    beat(job.folder)
                    steps.look()
                    if state.suspended and job.asked_to_stop and not cluster.has_pods(name):
                        steps.begin_anew()  # or the nodes that start when it is resumed would stop as well
                    limit.check(state.suspended)
                    time.sleep(poll)
            steps.look()
        except _CancelledError:
            raise PreemptedError(
                f"The stage was asked to stop and has ended TrainJob {name}; its nodes have "
                f"{job.training.trainjob.grace_seconds} s to save. Run the stage again and it goes on there."
            ) from None
        finally:
            cluster.delete(name)  # first: a pod that is cancelled has about a second left
            (job.folder / STOP_FILE).touch()
    _raise_failure(name, job, state.ended)
    return list(steps.rows.values())


def _raise_failure(name: str, job: TrainingJob, ended: Outcome) -> None:
    if ended.succeeded:
        return
    if ended.reason == DEADLINE_REASON:
        raise Agent0Error(
            f"TrainJob {name} ran for longer than training.trainjob.deadline_hours, "
            f"{job.training.trainjob.deadline_hours:g}, and was ended. Run the stage again and it goes on at its last "
            "checkpoint; raise the deadline if that is too often."
        )
    raise failure(job.folder, 1) if job.failed else Agent0Error(f"TrainJob {name} failed: {ended.message}")


class _Steps:
    """Each step's numbers, from as many attempts as the job takes: one that is resumed tells the earlier ones again."""

    def __init__(self, job: TrainingJob, log: LogMetrics, shown: Shown) -> None:
        self.rows: dict[int, dict[str, float]] = {}
        self._folder, self._log, self._shown = job.folder, log, shown
        self._reader = StepsReader(job.folder, shown)

    def look(self) -> None:
        """Take in what the nodes have told since the last look."""
        for numbers, step in self._reader.new():
            if step not in self.rows:
                self._log(numbers, step)
            self.rows[step] = {"step": float(step), **numbers}

    def begin_anew(self) -> None:
        """Forget what nodes that are gone have said."""
        self.look()
        clear_messages(self._folder)
        self._reader = StepsReader(self._folder, self._shown)


class _Patience:
    """How long a job may stay suspended: as long as it may run, and each time anew."""

    def __init__(self, cluster: Cluster, name: str, settings: TrainJobSettings) -> None:
        self._cluster, self._name, self._hours = cluster, name, settings.deadline_hours
        self._since: float | None = None

    def check(self, suspended: bool) -> None:
        """Look at the clock.

        Raises:
            Agent0Error: the job has been suspended for too long.
        """
        if not suspended:
            self._since = None
            return
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        if self._hours and now - self._since > self._hours * HOUR:
            raise Agent0Error(
                f"TrainJob {self._name} was suspended for longer than training.trainjob.deadline_hours, "
                f"{self._hours:g}, and is given up. {self._cluster.why_no_pods(self._name)}. Name a queue that has "
                "room in training.trainjob.queue, ask for less, or raise the deadline."
            )


def job_name(job: TrainingJob) -> str:
    """Return the name of the job that trains in a folder: the same for every attempt."""
    return f"agent0-{job.agent}-{hashlib.sha256(str(job.folder).encode()).hexdigest()[:12]}"


def manifest(name: str, job: TrainingJob, nodes: Nodes, pull_secrets: Sequence[str] = ()) -> dict[str, Any]:
    """Return the TrainJob as Kubernetes' JSON; `pull_secrets` hold the registry's credentials."""
    settings, pod = job.training.trainjob, nodes.pod
    volumes, mounts = volumes_and_mounts(pod)
    container = {"name": CONTAINER, "volumeMounts": mounts, "securityContext": CONTAINER_SECURITY}
    patch = {
        "imagePullSecrets": [{"name": secret} for secret in dict.fromkeys(pull_secrets)],
        "securityContext": POD_SECURITY,
        "volumes": volumes,
        "tolerations": pod.get("tolerations"),
        "nodeSelector": pod.get("node_selector"),
        "affinity": pod.get("affinity"),
        "terminationGracePeriodSeconds": settings.grace_seconds,
        "containers": [_filled(container)],
    }
    trainer = {
        "image": nodes.image,
        "numNodes": settings.nodes,
        "command": ["python", "-m", "agent0.training.node_main", str(job.write())],
        "resourcesPerNode": _resources(pod.get("resources") or {}, settings.resources),
        "env": environment(pod.get("env") or ()),
    }
    labels = {**settings.labels, PART_OF_LABEL: "agent0"}
    nodes_own = _metadata({**NO_SIDECAR, **labels}, {**NO_SIDECAR, **settings.annotations})
    template = {"metadata": nodes_own, "spec": _filled(patch)}
    replicated = {"name": CONTAINER, "template": {"spec": {"template": template}}}
    spec = {
        "runtimeRef": {"name": settings.runtime},
        "trainer": _filled(trainer),
        "runtimePatches": [
            {
                "manager": "agent0.dev/training",
                "trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": [replicated]}}},
            }
        ],
        "activeDeadlineSeconds": math.ceil(settings.deadline_hours * HOUR),
    }
    queue = {QUEUE_LABEL: settings.queue} if settings.queue else {}
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": name, **_metadata({**labels, **queue}, settings.annotations)},
        "spec": _filled(spec),
    }


def _metadata(labels: Mapping[str, str], annotations: Mapping[str, str]) -> dict[str, Any]:
    return _filled({"labels": labels, "annotations": annotations})


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
