"""A stand-in for the Kubernetes API with Kubeflow's trainer: TrainJobs, their pods and logs, over real HTTP.

It checks a TrainJob against the trainer's own API models, unknown fields included, and starts one process per node with
the environment of the runtime `torch-distributed`. A deleted job's processes get SIGTERM, and the job is listed until
they have ended. No controller, scheduler or container is behind it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kubeflow_trainer_api.models import TrainerV1alpha1TrainJob

from agent0.training.training_job import TrainingJob
from tests.training.trainjob_rules import refusals

NAMESPACE = "team-a"
JOBS = f"/apis/trainer.kubeflow.org/v1alpha1/namespaces/{NAMESPACE}/trainjobs"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
LABEL = "jobset.sigs.k8s.io/jobset-name"
QUEUE = "kueue.x-k8s.io/queue-name"
UID = "0b5a6f1e-0000-4000-8000-000000000001"

POD: dict[str, Any] = {
    "resources": {"limits": {"nvidia.com/gpu": "8"}, "requests": {"nvidia.com/gpu": "8"}},
    "env": [{"name": "OMP_NUM_THREADS", "value": "1"}],
    "volumes": [{"name": "shared", "persistentVolumeClaim": {"claimName": "agent0-shared"}}],
    "volume_mounts": [{"name": "shared", "mountPath": "/shared"}],
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
    "node_selector": {"pool": "h200"},
    "affinity": None,
}


@dataclass
class Job:
    """A TrainJob and the processes of its nodes."""

    body: dict[str, Any]
    nodes: list[subprocess.Popen[bytes]]
    logs: list[Path]
    deleted: bool = False
    suspended: bool = False
    reason: str = ""

    @property
    def gone(self) -> bool:
        return self.deleted and all(node.poll() is not None for node in self.nodes)

    def as_json(self) -> dict[str, Any]:
        codes = [node.poll() for node in self.nodes]
        conditions = []
        if self.reason:
            conditions = [{"type": "Failed", "status": "True", "reason": self.reason, "message": "ended"}]
        elif self.suspended:
            conditions = [{"type": "Suspended", "status": "True", "reason": "Suspended", "message": "is suspended"}]
        elif any(codes):
            conditions = [{"type": "Failed", "status": "True", "message": f"nodes ended with {codes}"}]
        elif all(code == 0 for code in codes):
            conditions = [{"type": "Complete", "status": "True", "message": "done"}]
        metadata = {**self.body["metadata"], "namespace": NAMESPACE, "uid": UID}
        if self.deleted:
            metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        spec = {**self.body["spec"], "suspend": self.suspended}
        return {**self.body, "metadata": metadata, "spec": spec, "status": {"conditions": conditions}}


@dataclass
class TrainJobServer:
    """The server's state.

    `command` replaces that of the nodes; `refusals` are statuses for the next requests; `others` are pods of no
    TrainJob; `pending`, where it is set, is the status of all nodes' pods. With `workloads`, the version of Kueue's API
    that is served and the conditions of every workload, a job that names a queue is suspended as soon as it is made.
    """

    folder: Path
    url: str = ""
    command: list[str] = field(default_factory=list)
    refusals: list[int] = field(default_factory=list)
    jobs: dict[str, Job] = field(default_factory=dict)
    created: list[dict[str, Any]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    others: list[dict[str, Any]] = field(default_factory=list)
    pending: dict[str, Any] = field(default_factory=dict)
    workloads: tuple[str, list[dict[str, str]]] | None = None

    def create(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        unknown = sorted(_unknown(body, TrainerV1alpha1TrainJob.from_dict(body).to_dict()))
        if unknown:
            return 400, {"message": f"strict decoding error: unknown fields {unknown}"}
        if refused := refusals(body):
            return 422, {"message": "; ".join(refused)}
        name = body["metadata"]["name"]
        if name in self.jobs and not self.jobs[name].gone:
            return 409, {"message": f"trainjobs {name!r} already exists"}
        self.created.append(body)
        if self.workloads and QUEUE in body["metadata"]["labels"]:
            self.jobs[name] = Job(body, [], [], suspended=True)
        else:
            self.jobs[name] = self._start(name, body)
        return 201, body

    def suspend(self, name: str) -> None:
        """End the nodes as when a job's quota is taken back."""
        job = self.jobs[name]
        job.suspended = True
        for node in job.nodes:
            node.send_signal(signal.SIGTERM)

    def resume(self, name: str) -> None:
        """Start a suspended job's nodes, as Kueue and the trainer's controller do."""
        self.jobs[name] = self._start(name, self.jobs[name].body)

    def workloads_of(self, owner: str) -> dict[str, Any]:
        """Kueue's workloads of a job."""
        assert self.workloads is not None
        metadata = {"name": "trainjob-workload", "namespace": NAMESPACE}
        item = {"metadata": metadata, "status": {"conditions": self.workloads[1]}}
        return {"kind": "WorkloadList", "items": [item] if owner == UID else []}

    def _start(self, name: str, body: dict[str, Any]) -> Job:
        trainer = body["spec"]["trainer"]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        nodes, logs = [], []
        for rank in range(trainer["numNodes"]):
            log = self.folder / f"{name}-{len(self.created)}-{rank}.log"
            environment = {item["name"]: item["value"] for item in trainer.get("env", ()) if "value" in item}
            environment |= {
                "PET_NNODES": str(trainer["numNodes"]),
                "PET_NODE_RANK": str(rank),
                "PET_MASTER_ADDR": "127.0.0.1",
                "PET_MASTER_PORT": str(port),
            }
            command = [sys.executable if part == "python" else part for part in self.command or trainer["command"]]
            with log.open("wb") as output:
                process = subprocess.Popen(
                    command, env={**os.environ, **environment}, stdout=output, stderr=subprocess.STDOUT
                )
            nodes.append(process)
            logs.append(log)
        return Job(body, nodes, logs)

    def find(self, name: str) -> Job | None:
        job = self.jobs.get(name)
        return None if job is None or job.gone else job

    def delete(self, name: str) -> tuple[int, dict[str, Any]]:
        job = self.find(name)
        if job is None:
            return 404, {"message": "not found"}
        job.deleted = True
        for node in job.nodes:
            if node.poll() is None:
                node.send_signal(signal.SIGTERM)
        return 200, job.as_json()

    def pods(self, name: str) -> list[dict[str, Any]]:
        job = self.find(name)
        pods = []
        for rank, node in enumerate(job.nodes if job else ()):
            if job.suspended and node.poll() is not None:
                continue
            phase = "Running" if node.poll() is None else "Succeeded" if node.poll() == 0 else "Failed"
            metadata = {"name": f"{name}-node-0-{rank}", "namespace": NAMESPACE, "labels": {LABEL: name}}
            pods.append({"metadata": metadata, "status": self.pending or {"phase": phase}})
        return pods

    def listed(self, query: dict[str, list[str]]) -> dict[str, Any]:
        if "fieldSelector" in query:
            own = query["fieldSelector"][0].removeprefix("metadata.name=")
            found = [pod for pod in self.others if pod["metadata"]["name"] == own]
        else:
            found = self.pods(query["labelSelector"][0].removeprefix(f"{LABEL}="))
        return {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": found}

    def log_of(self, pod: str) -> Iterator[bytes]:
        """Yield what a node prints until it has ended."""
        name, _, rank = pod.rpartition("-node-0-")
        job = self.jobs[name]
        with job.logs[int(rank)].open("rb") as file:
            ended = False
            while not ended:
                ended = job.nodes[int(rank)].poll() is not None
                if data := file.read():
                    yield data
                else:
                    time.sleep(0.05)


def pretend(server: TrainJobServer, script: str, job: TrainingJob) -> None:
    """Let the nodes run `script`, which finds the job's folder in `folder` and its node's number in `rank`."""
    head = f"import os, sys, time, pathlib; folder = pathlib.Path({str(job.folder)!r}); "
    server.command = [sys.executable, "-u", "-c", f"{head}rank = os.environ['PET_NODE_RANK']; {script}"]


@contextmanager
def trainjob_server(folder: Path) -> Iterator[TrainJobServer]:
    """Serve on loopback, and write a kubeconfig that points there to `folder`/config."""
    state = TrainJobServer(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self._answer(lambda: state.create(self._body()))

        def do_GET(self) -> None:
            path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
            version = state.workloads[0] if state.workloads else ""
            if path.endswith("/workloads"):
                owner = query["labelSelector"][0].removeprefix("kueue.x-k8s.io/job-uid=")
                served = path == f"/apis/kueue.x-k8s.io/{version}/namespaces/{NAMESPACE}/workloads"
                self._answer(lambda: (200, state.workloads_of(owner)) if served else (404, {"message": "not found"}))
            elif path == PODS:
                self._answer(lambda: (200, state.listed(query)))
            elif path.startswith(PODS):
                self._stream(path.removeprefix(f"{PODS}/").removesuffix("/log"))
            else:
                job = state.find(path.removeprefix(f"{JOBS}/"))
                self._answer(lambda: (200, job.as_json()) if job else (404, {"message": "not found"}))

        def do_DELETE(self) -> None:
            self._answer(lambda: state.delete(urlsplit(self.path).path.removeprefix(f"{JOBS}/")))

        def _body(self) -> dict[str, Any]:
            body: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            return body

        def _answer(self, answer: Any) -> None:
            state.requests.append(f"{self.command} {self.path}")
            refused = state.refusals.pop(0) if state.refusals else 0
            status, body = (refused, {"message": "refused by the test"}) if refused else answer()
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _stream(self, pod: str) -> None:
            self.send_response(200)
            self.end_headers()
            for data in state.log_of(pod):
                self.wfile.write(data)
                self.wfile.flush()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": state.url}}],
        "users": [{"name": "test", "user": {}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": NAMESPACE}}],
    }
    (folder / "config").write_text(json.dumps(config))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        for job in state.jobs.values():
            for node in job.nodes:
                node.kill()
                node.wait()
        server.shutdown()
        server.server_close()


def _unknown(given: Any, known: Any, place: str = "") -> Iterator[str]:
    """Yield the places of `given` that `known`, the same as its model understood it, lacks."""
    if isinstance(given, dict):
        for key, value in given.items():
            if not isinstance(known, dict) or key not in known:
                yield f"{place}.{key}"
            else:
                yield from _unknown(value, known[key], f"{place}.{key}")
    elif isinstance(given, list):
        for number, value in enumerate(given):
            yield from _unknown(value, known[number], f"{place}[{number}]")
