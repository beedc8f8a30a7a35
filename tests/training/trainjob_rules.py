"""What a cluster refuses in a TrainJob beyond unknown fields: keyed lists, its name, and the trainer's own webhook.

The lists are those of the published definition of Kubeflow Trainer 2.3, with which `test_trainjob_rules.py` compares
them; the rest is as its webhook has it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

JOBS = "spec.runtimePatches.trainingRuntimeSpec.template.spec.replicatedJobs"
POD = f"{JOBS}.template.spec.template.spec"
LIST_MAPS = {
    "spec.initializer.dataset.env": "name",
    "spec.initializer.model.env": "name",
    "spec.runtimePatches": "manager",
    JOBS: "name",
    f"{POD}.containers": "name",
    f"{POD}.containers.env": "name",
    f"{POD}.containers.volumeMounts": "name",
    f"{POD}.imagePullSecrets": "name",
    f"{POD}.initContainers": "name",
    f"{POD}.initContainers.env": "name",
    f"{POD}.initContainers.volumeMounts": "name",
    f"{POD}.schedulingGates": "name",
    f"{POD}.volumes": "name",
    "spec.trainer.env": "name",
    "spec.trainer.resourcesPerNode.claims": "name",
}
RESERVED = {"PET_NNODES", "PET_NPROC_PER_NODE", "PET_NODE_RANK", "PET_MASTER_ADDR", "PET_MASTER_PORT"}


def refusals(body: dict[str, Any]) -> list[str]:
    """Return why a cluster would refuse a TrainJob."""
    found = list(_duplicates(body))
    if not re.fullmatch("[a-z]([-a-z0-9]{0,61}[a-z0-9])?", body["metadata"]["name"]):
        found.append("metadata.name must match RFC 1035 DNS label format")
    if body["spec"].get("activeDeadlineSeconds", 1) < 1:
        found.append("spec.activeDeadlineSeconds should be greater than or equal to 1")
    reserved = RESERVED & {entry["name"] for entry in body["spec"].get("trainer", {}).get("env", ())}
    if reserved:
        found.append(f"must not have reserved envs, invalid envs configured: {sorted(reserved)}")
    for patch in body["spec"].get("runtimePatches", ()):
        if "/" not in patch["manager"]:
            found.append("spec.runtimePatches.manager must be a domain-prefixed path")
    return found


def _duplicates(value: Any, place: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _duplicates(inner, f"{place}.{name}" if place else name)
    elif isinstance(value, list):
        for inner in value:
            yield from _duplicates(inner, place)
        if key := LIST_MAPS.get(place):
            names = [inner.get(key) for inner in value]
            twice = {name for name in names if names.count(name) > 1}
            yield from (f'{place}: Duplicate value: {{"{key}":"{name}"}}' for name in twice)
