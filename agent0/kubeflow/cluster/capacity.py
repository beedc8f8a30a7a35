"""What the cluster has for heavy pods: storage classes, GPUs, Kubeflow Trainer, Kueue's queues."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from agent0.findings import Finding
from agent0.kubeflow.cluster.cluster_reader import Cluster

GPU = "nvidia.com/gpu"
TRAINER, TRAINER_VERSION, RUNTIME = "trainer.kubeflow.org", "v1alpha1", "torch-distributed"
KUEUE = "kueue.x-k8s.io"
PASSING = "node.kubernetes.io/"  # taints of a node that is not well now
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


def storage(cluster: Cluster) -> Finding:
    """Say which storage classes there are."""
    found: Any = cluster.ask(cluster.storage.list_storage_class)
    names = [item.metadata.name for item in found.items]
    defaults = [
        item.metadata.name for item in found.items if (item.metadata.annotations or {}).get(DEFAULT_CLASS) == "true"
    ]
    if not names:
        return Finding("storage", "warn", "no storage class", "claims stay Pending until one is there")
    if not defaults:
        return Finding("storage", "warn", f"{', '.join(names)}; none is the default", "name one in the claims")
    return Finding("storage", "ok", f"{', '.join(names)}; {defaults[0]} is the default")


def gpus(cluster: Cluster) -> Finding:
    """Say which GPUs there are, and which taints keep pods from them."""
    found: Any = cluster.ask(cluster.core.list_node)
    nodes = [node for node in found.items if int((node.status.allocatable or {}).get(GPU, "0"))]
    if not nodes:
        advice = "pipelines compiled with --gpus would wait; without it everything runs on CPUs"
        return Finding("GPUs", "warn", f"no node offers {GPU}", advice)
    kinds: Counter[str] = Counter()
    for node in nodes:
        label = (node.metadata.labels or {}).get(f"{GPU}.product", "GPU")
        kinds[f"{node.status.allocatable[GPU]} x {label}"] += 1
    text = "; ".join(f"{count} node{'s' * (count > 1)} with {kind}" for kind, count in kinds.items())
    taints = [taint for node in nodes for taint in node.spec.taints or [] if taint.effect != "PreferNoSchedule"]
    keys = sorted({taint.key for taint in taints if not taint.key.startswith(PASSING)})
    if not keys:
        return Finding("GPUs", "ok", text)
    wanted = json.dumps([{"key": key, "operator": "Exists"} for key in keys])
    return Finding(
        "GPUs",
        "ok",
        f"{text}; tainted {', '.join(keys)}",
        f"--param 'training_tolerations={wanted}' --param 'generation_tolerations={wanted}'",
    )


def trainer(cluster: Cluster, groups: dict[str, list[str]]) -> Finding:
    """Say whether TrainJobs can be started."""
    versions = groups.get(TRAINER, [])
    if not versions:
        return Finding("Trainer", "ok", "not here; only training.launcher=trainjob needs it")
    if TRAINER_VERSION not in versions:
        return Finding("Trainer", "fail", f"{', '.join(versions)}", f"TrainJobs here are {TRAINER}/{TRAINER_VERSION}")
    runtimes = cluster.custom.get_cluster_custom_object
    if cluster.ask(runtimes, TRAINER, TRAINER_VERSION, "clustertrainingruntimes", RUNTIME) is None:
        return Finding(
            "Trainer",
            "fail",
            f"{TRAINER_VERSION}, without the runtime {RUNTIME}",
            "apply the runtimes of Kubeflow Trainer's release",
        )
    return Finding("Trainer", "ok", f"{TRAINER_VERSION}, with the runtime {RUNTIME}")


def queue(cluster: Cluster, groups: dict[str, list[str]], name: str) -> Finding:
    """Say whether the queue of heavy pods is there and open."""
    versions = groups.get(KUEUE, [])
    if not versions:
        if name:
            return Finding("Kueue", "fail", f"not here, so pods of queue {name} are not queued", "install Kueue")
        return Finding("Kueue", "ok", "not here; only runs that name a queue need it")
    found: Any = cluster.ask(
        cluster.custom.list_namespaced_custom_object, KUEUE, versions[0], cluster.namespace, "localqueues"
    )
    queues = {item["metadata"]["name"]: item for item in found["items"]}
    names = ", ".join(sorted(queues)) or "none"
    if name and name not in queues:
        return Finding(
            "Kueue",
            "fail",
            f"there is no LocalQueue {name} in {cluster.namespace}; there are: {names}",
            "pods of a queue that is not there never start; name one that is",
        )
    shut = [item for item in queues if (not name or item == name) and not _active(queues[item])]
    if shut:
        return Finding("Kueue", "warn", f"{versions[0]}; not active: {', '.join(shut)}", "see its ClusterQueue")
    return Finding("Kueue", "ok", f"{versions[0]}; queues: {names}")


def _active(item: dict[str, Any]) -> bool:
    """Whether a queue admits, as far as its controller has said."""
    conditions = {one["type"]: one["status"] for one in item.get("status", {}).get("conditions", ())}
    return bool(conditions.get("Active", "True") == "True")
