"""The rules of pods, each by its name: what of one Kubernetes or Argo would refuse or do wrong."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from agent0.kubeflow.acceptance.pod_security import violations
from agent0.kubeflow.acceptance.pod_template import MAIN
from agent0.kubeflow.acceptance.pods import PLUGIN_VARIABLES, Pod
from agent0.kubeflow.acceptance.schemas import pod_schema
from agent0.kubeflow.acceptance.subject import Subject, of_each_pod

FIRST_LIFE_SECONDS = 86_400
"""What a pod of ours, or one with GPUs, may well take without a deadline; a retry after it must still be allowed."""
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_KEY = re.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_OPERATORS = ("Equal", "Exists")
_PULL_POLICIES = ("IfNotPresent", "Always", "Never")
_IMAGE = re.compile(r"[a-z0-9][a-z0-9._:/-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?(@[a-z0-9]+:[0-9a-f]+)?")
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|[MGTPE]i?|Ki)?")
_UNITS = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_UNITS |= {f"{unit}i": 1024.0**power for power, unit in enumerate("KMGTPE", 1)}


@of_each_pod
def environment_names(subject: Subject, pod: Pod) -> Iterator[str]:
    """Environment variables that a pod would name twice, with settings, secrets and the server's plugin merged.

    Source: driver.go and k8s.go append entries, Argo merges them by name into one with a value and a reference, which
    Kubernetes refuses; a TrainJob made of the same list is refused for a list-map with twins.
    """
    sources: dict[str, list[str]] = defaultdict(list)
    if subject.release.knows_plugins:
        for name in PLUGIN_VARIABLES:
            sources[name].append("the server's MLflow plugin")
    for container in [item for item in pod.patch["containers"] if item["name"] == MAIN]:
        for item in container["env"]:
            sources[item["name"]].append(_source(item))
    for name, found in sorted(sources.items()):
        if len(found) > 1:
            yield (
                f"the variable {name} is given by {' and by '.join(found)}; Kubernetes refuses a pod that has it "
                "twice. Take it out of all but one."
            )


def _source(item: Mapping[str, Any]) -> str:
    for kind, reference in item.get("valueFrom", {}).items():
        return f"{kind.removesuffix('KeyRef')} {reference.get('name', '')}".strip()
    return f"the pipeline ({item.get('value', '')})"


def valid_pods(subject: Subject) -> Iterator[tuple[str, str]]:
    """Pods that Kubernetes' schema refuses, list-map keys included.

    Source: Kubernetes' OpenAPI document, in its strict form.
    """
    schema = pod_schema(subject.release.kubernetes)
    seen: dict[str, list[str]] = {}
    for pod in subject.pods:
        key = json.dumps(_shape(pod.manifest), sort_keys=True)
        if key not in seen:
            seen[key] = list(schema.errors(pod.manifest))
        for error in seen[key]:
            yield pod.task.name, f"Kubernetes {subject.release.kubernetes} refuses the pod: {error}."


def _shape(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a pod without what differs between tasks and has no rules: its name, commands and arguments."""
    spec = manifest["spec"]
    bare = [
        {key: value for key, value in item.items() if key not in ("command", "args")} for item in spec["containers"]
    ]
    return {**manifest, "metadata": {**manifest["metadata"], "name": ""}, "spec": {**spec, "containers": bare}}


@of_each_pod
def pod_values(subject: Subject, pod: Pod) -> Iterator[str]:
    """Values of pods that no schema sees: names of volumes, places of mounts, quantities, deadlines.

    Source: Kubernetes' pkg/apis/core/validation/validation.go, `ValidatePodSpec`.
    """
    spec = pod.manifest["spec"]
    for volume in spec["volumes"]:
        if not _LABEL.fullmatch(volume["name"]) and not volume["name"].startswith("<"):
            yield f"{volume['name']!r} is no name of a volume; lower-case letters, digits, hyphens, 63."
    (main,) = (item for item in spec["containers"] if item["name"] == MAIN)
    if not _IMAGE.fullmatch(main["image"]) and not main["image"].startswith("<"):
        yield f"{main['image']!r} is no name of an image: small letters, no spaces, :TAG or @DIGEST."
    if main.get("imagePullPolicy", _PULL_POLICIES[0]) not in _PULL_POLICIES:
        yield f"its pull policy {main['imagePullPolicy']!r} is none of {', '.join(_PULL_POLICIES)}."
    places = [mount["mountPath"] for mount in pod.patch["containers"][0]["volumeMounts"]]
    for place in sorted({place for place in places if places.count(place) > 1}):
        yield f"two volumes are mounted at {place}."
    for item in spec.get("tolerations", ()):
        if item.get("operator", "Equal") not in _OPERATORS or not _KEY.fullmatch(item.get("key", "any")):
            yield f"{json.dumps(item)} is no toleration: operator {' or '.join(_OPERATORS)}, key as a label's."
    for key in spec.get("nodeSelector", {}):
        if not _KEY.fullmatch(key):
            yield f"its node selector has the key {key!r}, which no label can have."
    yield from _quantities(main.get("resources", {}))


def _quantities(resources: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    amounts: dict[str, dict[str, float]] = defaultdict(dict)
    for side, given in resources.items():
        for name, text in given.items():
            if text.startswith("<"):  # not known, or missed already
                continue
            found = _QUANTITY.fullmatch(text)
            if found is None:
                yield f"{name} {text!r} is no quantity; such as 8, 500m or 16Gi."
                continue
            amounts[name][side] = float(found[1]) * _UNITS[found[2] or ""]
            if "/" in name and not amounts[name][side].is_integer():
                yield f"{name} must be a whole number, not {text}."
    for name, sides in amounts.items():
        if sides.get("requests", 0) > sides.get("limits", float("inf")):
            yield f"it requests more {name} than its limit."


@of_each_pod
def retries_in_time(subject: Subject, pod: Pod) -> Iterator[str]:
    """Retries that come too late to be allowed.

    Source: argo workflow/controller/operator.go, `processNodeRetries`: the longest pause is counted from the start of
    the first attempt; nothing is tried again after it, and an attempt that still runs is ended.
    """
    policy = pod.task.spec.get("retryPolicy", {})
    count = int(policy.get("maxRetryCount", 0))
    if not count:
        return
    longest = _seconds(policy.get("backoffMaxDuration", "0s"))
    factor = float(policy.get("backoffFactor", 2))
    pauses = _seconds(policy.get("backoffDuration", "0s")) * sum(factor**attempt for attempt in range(count))
    gpus = any("/" in name for name in pod.patch["containers"][0]["resources"]["limits"])
    guessed = FIRST_LIFE_SECONDS if gpus or subject.package.is_ours else 0
    life = pod.manifest["spec"].get("activeDeadlineSeconds") or guessed
    if longest < pauses + life:
        yield (
            f"its retries may go on for {longest:.0f} s from the start of its first attempt, and Argo ends what "
            f"still runs then: a task that takes longer is never tried again. Allow {pauses + life:.0f} s or more."
        )


def _seconds(duration: str) -> float:
    return float(duration.removesuffix("s"))


@of_each_pod
def restricted_pods(subject: Subject, pod: Pod) -> Iterator[str]:
    """Pods that a namespace under the Pod Security Standard `restricted` does not let in.

    Source: Kubernetes' pod-security-admission.
    """
    if found := violations(pod.manifest["spec"]):
        yield (
            f"a namespace that enforces the Pod Security Standard restricted refuses the pod ({'; '.join(found)}). "
            "Compile with run_as_non_root, or run it in a namespace that enforces baseline."
        )
