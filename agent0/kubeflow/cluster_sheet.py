"""What a pipeline asks of a cluster, as a sheet in Markdown for the team that runs the cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent0.kubeflow.acceptance.check import Checked
from agent0.kubeflow.acceptance.pod_security import violations
from agent0.kubeflow.acceptance.pod_template import MAIN
from agent0.kubeflow.acceptance.pods import Pod
from agent0.kubeflow.compiled_pipeline import Package

RIGHTS = (
    ("argoproj.io", "workflowtaskresults", "create, patch", ""),
    ("", "configmaps", "get", "kfp-launcher"),
    ("", "secrets", "get", "mlpipeline-minio-artifact"),
)
"""What every step asks of the API, as the Role `agent0-runner` grants it: group, resource, verbs, names."""
TRAINJOB_RIGHTS = (
    ("trainer.kubeflow.org", "trainjobs", "create, get, delete", ""),
    ("", "pods", "list", ""),
    ("", "pods/log", "get", ""),
    ("kueue.x-k8s.io", "workloads", "list", ""),
)
NETWORK = (
    "names (kube-dns, or the node's own cache)",
    "Kubeflow: ml-pipeline 8887 and 8888, metadata-grpc-service 8080, its artifact store 8333 or 9000",
    "the MLflow tracking server and the sandbox service, where the settings name them",
    "HTTPS outside (S3, model hubs) and the cluster's API, 443 and 6443",
)


@dataclass(frozen=True)
class _Kind:
    """What pods have in common that are the same to a cluster."""

    image: str
    resources: str
    volumes: str
    nodes: str
    labels: str
    deadline: str
    retries: str


def sheet(package: Package, checked: Checked, values: Mapping[str, Any]) -> str:
    """Return the sheet of a pipeline, with the values of a run in place of its defaults."""
    kinds: dict[_Kind, list[Pod]] = {}
    for pod in checked.pods:
        kinds.setdefault(_kind(pod), []).append(pod)
    size, jobs = checked.size, _jobs(package, values)
    rooted = any(violations(pod.manifest["spec"]) for pod in checked.pods)
    parts = [
        f"# {package.name}",
        f"{package.description} A run has {size.pods} pods, a driver and a step for each task, some at the same time; "
        f"its workflow grows to about {size.total / 2**20:.2f} of 1 MiB.",
        "## Pods",
        _table(
            ("tasks", "image", "requests and limits", "volumes", "nodes", "labels", "ended after", "tried again"),
            [(_tasks(pods), *vars(kind).values()) for kind, pods in kinds.items()],
        ),
        "Each has a driver beside it (100m CPU, 64Mi; limits 500m, 512Mi). Every container drops all capabilities, "
        f"gains no privileges and has the seccomp profile RuntimeDefault{'' if rooted else '; none runs as root'}.",
        "## Environment",
        _table(("from", "keys, all optional"), list(_sources(checked.pods))),
        "## Service account",
        "The one that the run names (`--service-account`), such as `agent0-runner` of pipelines/manifests. It needs:",
        _table(("group", "resource", "verbs", "names"), [*RIGHTS, *(TRAINJOB_RIGHTS if jobs else ())]),
        "## Network",
        f"Nothing calls a step{', but the nodes of its TrainJobs' if jobs else ''}. A step calls:",
        "\n".join(f"- {line}" for line in NETWORK),
        *_limits(package),
    ]
    return "\n\n".join(parts)


def _kind(pod: Pod) -> _Kind:
    spec = pod.manifest["spec"]
    (main,) = (item for item in spec["containers"] if item["name"] == MAIN)
    retry = pod.task.spec.get("retryPolicy", {})
    count = retry.get("maxRetryCount", 0)
    mounts = {mount["name"]: mount["mountPath"] for mount in pod.patch["containers"][0]["volumeMounts"]}
    selector = [f"{key}={value}" for key, value in spec.get("nodeSelector", {}).items()]
    tolerated = [str(item.get("key", "everything")) for item in spec.get("tolerations", ())]
    metadata = pod.manifest["metadata"]
    own = {key: value for key, value in metadata["labels"].items() if not key.startswith(("workflows.", "pipelines."))}
    deadline = spec.get("activeDeadlineSeconds")
    pause = retry.get("backoffDuration", "0s").removesuffix("s")
    return _Kind(
        image=main["image"],
        resources=", ".join(f"{value} {name}" for name, value in main["resources"]["limits"].items()),
        volumes=", ".join(_volume(volume, mounts) for volume in spec["volumes"] if volume["name"] in mounts) or "none",
        nodes="; ".join([*selector, *(f"tolerates {key}" for key in tolerated)]) or "any",
        labels=", ".join(f"{key}={value}" for key, value in own.items()) or "none",
        deadline=f"{deadline / 3600:g} h" if deadline else "never",
        retries=f"{count:g} times, first after {pause} s" if count else "never",
    )


def _volume(volume: Mapping[str, Any], mounts: Mapping[str, str]) -> str:
    name = volume["name"]
    if "persistentVolumeClaim" in volume:
        return f"claim {name} at {mounts[name]}"
    if "emptyDir" in volume:
        kept = "memory" if volume["emptyDir"].get("medium") == "Memory" else "disk"
        return f"{volume['emptyDir'].get('sizeLimit', '')} of {kept} at {mounts[name]}".strip()
    return f"{next(key for key in volume if key != 'name')} {name} at {mounts[name]}"


def _tasks(pods: Sequence[Pod]) -> str:
    counts: dict[str, int] = {}
    for pod in pods:
        counts[pod.task.path[-1]] = counts.get(pod.task.path[-1], 0) + pod.task.copies
    return ", ".join(f"{count} × {name}" if count > 1 else name for name, count in counts.items())


def _sources(pods: Sequence[Pod]) -> Iterator[tuple[str, str]]:
    """Yield each ConfigMap and Secret that pods take variables from, with its keys."""
    found: dict[str, dict[str, str]] = {}
    for pod in pods:
        for item in pod.patch["containers"][0]["env"]:
            for kind, reference in item.get("valueFrom", {}).items():
                title = {"configMapKeyRef": "ConfigMap", "secretKeyRef": "Secret"}.get(kind)
                if title:
                    place = f"{title} {reference['name']}"
                    name = "" if item["name"] == reference["key"] else f" (as {item['name']})"
                    found.setdefault(place, {})[reference["key"]] = f"{reference['key']}{name}"
            if "value" in item:
                found.setdefault("the pipeline itself", {})[item["name"]] = f"{item['name']}={item['value']}"
    for place, keys in found.items():
        yield place, ", ".join(keys.values())


def _jobs(package: Package, values: Mapping[str, Any]) -> bool:
    """Say whether trainings are started as TrainJobs."""
    declared = package.inputs.get("training")
    training = values.get("training") or (declared.default if declared else None) or {}
    return bool(training.get("launcher") == "trainjob")


def _limits(package: Package) -> Iterator[str]:
    config = package.platform.get("platforms", {}).get("kubernetes", {}).get("pipelineConfig", {})
    words = {
        "activeDeadlineSeconds": "A run is ended after",
        "resourceTtlOnCompletion": "Its workflow and pods are kept after its end for",
    }
    lines = [f"- {text} {config[name] / 3600:g} h." for name, text in words.items() if name in config]
    if lines:
        yield "## Time"
        yield "\n".join(lines)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
