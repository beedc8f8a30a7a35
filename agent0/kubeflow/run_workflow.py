"""The workflow behind a run, as the server keeps it: its nodes, their pods, and what Argo says of them.

The API of runs tells states and times alone. Messages, exit codes and the names of pods are in the workflow, which the
older API hands out as text from the server's first report of the run on.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent0.kubeflow.server_connection import Server, ServerError

_OF_NODES_WITHIN = (".", "(")  # a DAG's tasks, and the attempts of a node that is retried


@dataclass(frozen=True)
class Node:
    """One node: a pod, or what holds other nodes. `label` is its own part of `name`; `pod` is empty without a pod."""

    name: str
    label: str
    kind: str
    phase: str
    message: str
    exit_code: int | None
    started_at: datetime | None
    finished_at: datetime | None
    pod: str

    def holds(self, other: Node) -> bool:
        """Whether `other` lies within this node, at any depth."""
        return other.name.startswith(tuple(self.name + mark for mark in _OF_NODES_WITHIN))


@dataclass(frozen=True)
class Workflow:
    """The nodes in the order in which they began; `cancelled` says whether a person ended the run."""

    namespace: str
    message: str
    cancelled: bool
    nodes: tuple[Node, ...]

    def pods_in(self, node: Node) -> list[Node]:
        """Return the pods within a node, or the node itself where it is one; the latest attempt is the last."""
        return [item for item in self.nodes if item.kind == "Pod" and (item is node or node.holds(item))]


def read_workflow(server: Server, run_id: str) -> Workflow | None:
    """Return the workflow of a run; None where the server has none yet, or does not hand it out.

    Raises:
        ServerError: no answer, or the server does not let us.
    """
    try:
        answer = json.loads(server.get_text(f"/apis/v1beta1/runs/{run_id}"))
    except ServerError as error:
        if error.status in (404, 501):  # the older API may be closed, or gone from a later server
            return None
        raise
    manifest = (answer.get("pipeline_runtime") or {}).get("workflow_manifest")
    return parse_workflow(json.loads(manifest)) if manifest else None


def parse_workflow(manifest: Mapping[str, Any]) -> Workflow:
    """Read an Argo workflow; the nodes of a large one are compressed."""
    status = manifest.get("status") or {}
    nodes = status.get("nodes") or {}
    if packed := status.get("compressedNodes"):
        nodes = json.loads(gzip.decompress(base64.b64decode(packed)))
    read = [_node(manifest["metadata"]["name"], item) for item in nodes.values()]
    read.sort(key=lambda node: (node.started_at is None, node.started_at, node.name))
    return Workflow(
        namespace=str(manifest["metadata"].get("namespace", "")),
        message=str(status.get("message", "")),
        cancelled=(manifest.get("spec") or {}).get("activeDeadlineSeconds") == 0,  # how the server ends a run
        nodes=tuple(read),
    )


def _node(workflow: str, item: Mapping[str, Any]) -> Node:
    code = str((item.get("outputs") or {}).get("exitCode", ""))
    return Node(
        name=str(item["name"]),
        label=str(item.get("displayName") or item["name"]),
        kind=str(item.get("type", "")),
        phase=str(item.get("phase", "")),
        message=str(item.get("message", "")),
        exit_code=int(code) if re.fullmatch(r"\d+", code) else None,
        started_at=_time(item.get("startedAt")),
        finished_at=_time(item.get("finishedAt")),
        pod=_pod_name(workflow, item) if item.get("type") == "Pod" else "",
    )


def _pod_name(workflow: str, item: Mapping[str, Any]) -> str:
    """Return the name that Argo gives a pod: its workflow's, its template's and the hash of its node's name."""
    return f"{workflow}-{item.get('templateName', '')}-{str(item['id']).rpartition('-')[2]}"


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
