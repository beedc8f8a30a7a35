"""TrainJobs and their pods over the Kubernetes API, with the client that comes with kfp.

A server that does not answer is asked again for a while: the nodes train on without us.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TextIO, TypeVar

from agent0.cluster import REQUEST_SECONDS, connect
from agent0.errors import Agent0Error
from agent0.training.admission import why_no_pods

Answer = TypeVar("Answer")
GROUP, VERSION, PLURAL = "trainer.kubeflow.org", "v1alpha1", "trainjobs"
JOB_LABEL = "jobset.sigs.k8s.io/jobset-name"
PATIENCE_SECONDS = 600.0
PAUSE_SECONDS = 2.0
WAITING_SECONDS = 180.0
"""How often the log says which pods have not started."""


@dataclass(frozen=True)
class Outcome:
    """How a TrainJob ended, with the controller's message and reason."""

    succeeded: bool
    message: str
    reason: str = ""


@dataclass(frozen=True)
class State:
    """How a TrainJob ended, None while it goes on, and whether it is suspended: it has no pods, or is losing them."""

    ended: Outcome | None
    suspended: bool = False


class Cluster:
    """The TrainJobs of one namespace.

    Args:
        api: `kubernetes.client.ApiClient`.
        namespace: where the jobs are.
    """

    def __init__(self, api: Any, namespace: str) -> None:
        from kubernetes import client

        self._jobs = client.CustomObjectsApi(api)
        self._pods = client.CoreV1Api(api)
        self._namespace = namespace

    @classmethod
    def connect(cls) -> Cluster:
        """Return the cluster that this pod is in, or that of the kubeconfig.

        Raises:
            Agent0Error: there is neither, or the client is not installed.
        """
        return cls(*connect("A TrainJob needs"))

    def create(self, manifest: Mapping[str, Any]) -> None:
        """Create a TrainJob.

        Raises:
            Agent0Error: the API refuses it, or a field of it.
        """
        self._ask(
            f"create TrainJob {manifest['metadata']['name']}",
            lambda: self._jobs.create_namespaced_custom_object(
                GROUP,
                VERSION,
                self._namespace,
                PLURAL,
                manifest,
                field_validation="Strict",
                _request_timeout=REQUEST_SECONDS,
            ),
        )

    def running(self, name: str) -> bool:
        """Whether a TrainJob is there, has not ended, and is not being deleted."""
        found = self._find(name)
        return found is not None and "deletionTimestamp" not in found["metadata"] and _outcome(found) is None

    def remove(self, name: str) -> None:
        """Delete a TrainJob, and return once it and its pods are gone; none is no error.

        Raises:
            Agent0Error: it does not go away.
        """
        self.delete(name)
        deadline = time.monotonic() + 2 * PATIENCE_SECONDS  # its pods are given time to save
        while self._find(name) is not None:
            if time.monotonic() > deadline:
                raise Agent0Error(f"TrainJob {name} of an earlier attempt does not go away; delete it by hand.")
            time.sleep(PAUSE_SECONDS)

    def state(self, name: str) -> State:
        """Return how a TrainJob is."""
        found = self._find(name)
        if found is None:
            return State(Outcome(False, "somebody deleted it"))
        return State(_outcome(found), bool(found["spec"].get("suspend")))

    def has_pods(self, name: str) -> bool:
        """Whether pods of a TrainJob are there, ending ones included."""
        return bool(self._pods_of(name))

    def why_no_pods(self, name: str) -> str:
        """Return a sentence on why a TrainJob has no pods."""
        found = self._find(name)
        return "It is gone." if found is None else why_no_pods(self._jobs, self._namespace, found)

    def delete(self, name: str) -> None:
        """Delete a TrainJob with its pods; none is no error."""
        self._ask(
            f"delete TrainJob {name}",
            lambda: self._jobs.delete_namespaced_custom_object(
                GROUP, VERSION, self._namespace, PLURAL, name, _request_timeout=REQUEST_SECONDS
            ),
            absent=True,
        )

    def pull_secrets(self) -> list[str]:
        """Return the names of the secrets that this pod's images are pulled with; none outside the cluster."""
        pods = self._ask(
            "read this pod",
            lambda: self._pods.list_namespaced_pod(
                self._namespace,
                field_selector=f"metadata.name={socket.gethostname()}",
                _request_timeout=REQUEST_SECONDS,
            ),
        )
        return [secret.name for pod in pods.items for secret in pod.spec.image_pull_secrets or ()]

    @contextmanager
    def following(self, name: str, container: str, output: TextIO) -> Iterator[None]:
        """Print what the pods of a TrainJob print, each line behind its pod's name, for the length of the block.

        Every few minutes, say which of them have not started, and why.
        An error that ends the block does not wait for the rest of their words.
        """
        done = threading.Event()
        watcher = threading.Thread(target=self._follow_pods, args=(name, container, output, done), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
        watcher.join()

    def _follow_pods(self, name: str, container: str, output: TextIO, done: threading.Event) -> None:
        followed: dict[str, threading.Thread] = {}
        last, told = False, time.monotonic()
        while not last:
            last = done.wait(PAUSE_SECONDS)
            pods = self._pods_of(name)
            for pod in pods:
                if pod.metadata.name not in followed and pod.status.phase != "Pending":
                    thread = threading.Thread(
                        target=self._print_log, args=(pod.metadata.name, container, output), daemon=True
                    )
                    thread.start()
                    followed[pod.metadata.name] = thread
            if not last and time.monotonic() - told > WAITING_SECONDS:
                told = time.monotonic()
                output.write("".join(_waiting(pods)) if pods else f"[{name}] {self.why_no_pods(name)}\n")
                output.flush()
        for thread in followed.values():
            thread.join(PAUSE_SECONDS)

    def _print_log(self, pod: str, container: str, output: TextIO) -> None:
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        try:
            stream = self._pods.read_namespaced_pod_log(
                pod, self._namespace, container=container, follow=True, _preload_content=False
            )
            for line in stream:
                output.write(f"[{pod}] {line.decode('utf-8', errors='replace')}")
                output.flush()
        except (ApiException, HTTPError) as error:
            output.write(f"[{pod}] The log breaks off here: {' '.join(str(error).split())}\n")

    def _pods_of(self, name: str) -> Sequence[Any]:
        listed = self._ask(
            f"list the pods of {name}",
            lambda: self._pods.list_namespaced_pod(
                self._namespace, label_selector=f"{JOB_LABEL}={name}", _request_timeout=REQUEST_SECONDS
            ),
        )
        pods: Sequence[Any] = listed.items
        return pods

    def _find(self, name: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self._ask(
            f"read TrainJob {name}",
            lambda: self._jobs.get_namespaced_custom_object(
                GROUP, VERSION, self._namespace, PLURAL, name, _request_timeout=REQUEST_SECONDS
            ),
            absent=True,
        )
        return found

    def _ask(self, doing: str, request: Callable[[], Answer], *, absent: bool = False) -> Any:
        """Return the answer to a request; None for what is not there, where that is no error."""
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return request()
            except ApiException as error:
                if absent and error.status == HTTPStatus.NOT_FOUND:
                    return None
                if error.status < HTTPStatus.INTERNAL_SERVER_ERROR and error.status != HTTPStatus.TOO_MANY_REQUESTS:
                    raise Agent0Error(f"The cluster refused to {doing}: {_reason(error)}") from error
                reason = _reason(error)
            except HTTPError as error:
                reason = str(error)
            if time.monotonic() > deadline:
                raise Agent0Error(f"The cluster gave no answer for {PATIENCE_SECONDS:.0f} s ({doing}): {reason}")
            time.sleep(PAUSE_SECONDS)


def _outcome(job: Mapping[str, Any]) -> Outcome | None:
    for said in job.get("status", {}).get("conditions", ()):
        if said["status"] == "True" and said["type"] in ("Complete", "Failed"):
            return Outcome(said["type"] == "Complete", said.get("message", ""), said.get("reason", ""))
    return None


def _waiting(pods: Sequence[Any]) -> Iterator[str]:
    """Yield a line for each pod that has not started, in the words of the scheduler or of the node's kubelet."""
    for pod in pods:
        if pod.status.phase != "Pending":
            continue
        containers = [*(pod.status.init_container_statuses or ()), *(pod.status.container_statuses or ())]
        causes = [
            *(said for said in pod.status.conditions or () if said.type == "PodScheduled" and said.status != "True"),
            *(found.state.waiting for found in containers if found.state and found.state.waiting),
        ]
        why = "; ".join(f"{cause.reason}: {cause.message or 'no message'}" for cause in causes) or "no cause given"
        yield f"[{pod.metadata.name}] The pod has not started: {' '.join(why.split())}\n"


def _reason(error: Any) -> str:
    hint = {
        HTTPStatus.FORBIDDEN: " Give the pod's service account create, get and delete on trainjobs, list on pods and "
        "get on pods/log.",
        HTTPStatus.NOT_FOUND: " Is Kubeflow Trainer installed?",
        HTTPStatus.BAD_REQUEST: " Is it Kubeflow Trainer 2.2 or later?",
    }.get(error.status, "")
    return f"{error.status} {error.reason}: {' '.join(str(error.body or '').split())[:500]}{hint}"
