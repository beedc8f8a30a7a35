"""The rules, each by its name: what of a pipeline or of one of its pods a server would refuse or do wrong."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agent0.kubeflow.acceptance.pod_security import violations
from agent0.kubeflow.acceptance.pod_template import MAIN
from agent0.kubeflow.acceptance.pods import PLUGIN_VARIABLES, Pod
from agent0.kubeflow.acceptance.releases import Release
from agent0.kubeflow.acceptance.rule_finding import Finding
from agent0.kubeflow.acceptance.schemas import pod_schema
from agent0.kubeflow.acceptance.workflow_size import LIMIT_BYTES, WorkflowSize
from agent0.kubeflow.compiled_pipeline import Package

LARGEST_ARGUMENT = 131_072
"""Bytes that Linux gives one argument of a program, its end included."""
ROOM = 0.8
"""Share of Argo's limit from which on a warning is given."""
FIRST_LIFE_SECONDS = 86_400
"""What a pod of ours, or one with GPUs, may well take without a deadline; a retry after it must still be allowed."""
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_KEY = re.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_OPERATORS = ("Equal", "Exists")
_PULL_POLICIES = ("IfNotPresent", "Always", "Never")
_IMAGE = re.compile(r"[a-z0-9][a-z0-9._:/-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?(@[a-z0-9]+:[0-9a-f]+)?")
_STEP = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]{0,127}")
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|[MGTPE]i?|Ki)?")
_UNITS = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_UNITS |= {f"{unit}i": 1024.0**power for power, unit in enumerate("KMGTPE", 1)}


@dataclass(frozen=True)
class Subject:
    """Everything that a rule may look at."""

    package: Package
    release: Release
    values: Mapping[str, Any]
    pods: tuple[Pod, ...]
    size: WorkflowSize


Rule = Callable[[Subject], Iterator[tuple[str, str]]]
"""Yields where and what; the name of the function is that of the rule."""


def known_fields(subject: Subject) -> Iterator[tuple[str, str]]:
    """Fields of the platform specification that the release does not know.

    Source: apiserver/template/v2_template.go, `IsPlatformSpecWithKubernetesConfig`: a document that does not parse is
    taken for none of its own, and the run has neither secrets nor volumes.
    """
    kubernetes = subject.package.platform.get("platforms", {}).get("kubernetes", {})
    advice = (
        f"Kubeflow Pipelines {subject.release} does not know it, and drops every Kubernetes setting of the pipeline "
        "with it, without a word: compile without it, or upgrade the server."
    )
    for name in sorted(set(kubernetes.get("pipelineConfig", {})) & subject.release.unknown_run_limits):
        yield f"pipelineConfig.{name}", advice
    for executor, settings in sorted(kubernetes.get("deploymentSpec", {}).get("executors", {}).items()):
        for name in sorted(set(settings) & subject.release.unknown_pod_settings):
            yield f"{executor}.{name}", advice


def names(subject: Subject) -> Iterator[tuple[str, str]]:
    """Names that Kubernetes and Argo accept.

    Source: v2_template.go (the pipeline's name), argo pkg/apis/workflow/v1alpha1/validation_utils.go (128 characters).
    """
    name = subject.package.name
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", name) or len(name) > 128:
        yield "pipeline", f"its name {name!r} is not of lower-case letters, digits and hyphens, of 128 at most."
    for pod in subject.pods:
        for key in pod.task.path:
            if not _STEP.fullmatch(key):
                yield pod.task.name, f"Argo takes no step named {key!r}: letters, digits and hyphens, 128 at most."


def environment_names(subject: Subject) -> Iterator[tuple[str, str]]:
    """Environment variables that a pod would name twice, with settings, secrets and the server's plugin merged.

    Source: driver.go and k8s.go append entries, Argo merges them by name into one with a value and a reference, which
    Kubernetes refuses; a TrainJob made of the same list is refused for a list-map with twins.
    """
    for pod in subject.pods:
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
                    pod.task.name,
                    f"the variable {name} is given by {' and by '.join(found)}; Kubernetes refuses a pod that has it "
                    "twice. Take it out of all but one.",
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


def pod_values(subject: Subject) -> Iterator[tuple[str, str]]:
    """Values of pods that no schema sees: names of volumes, places of mounts, quantities, deadlines.

    Source: Kubernetes' pkg/apis/core/validation/validation.go, `ValidatePodSpec`.
    """
    for pod in subject.pods:
        spec = pod.manifest["spec"]
        for volume in spec["volumes"]:
            if not _LABEL.fullmatch(volume["name"]) and not volume["name"].startswith("<"):
                yield (
                    pod.task.name,
                    f"{volume['name']!r} is no name of a volume; lower-case letters, digits, hyphens, 63.",
                )
        (main,) = (item for item in spec["containers"] if item["name"] == MAIN)
        if not _IMAGE.fullmatch(main["image"]) and not main["image"].startswith("<"):
            yield (
                pod.task.name,
                f"{main['image']!r} is no name of an image: small letters, no spaces, :TAG or @DIGEST.",
            )
        if main.get("imagePullPolicy", _PULL_POLICIES[0]) not in _PULL_POLICIES:
            yield pod.task.name, f"its pull policy {main['imagePullPolicy']!r} is none of {', '.join(_PULL_POLICIES)}."
        places = [mount["mountPath"] for mount in pod.patch["containers"][0]["volumeMounts"]]
        for place in sorted({place for place in places if places.count(place) > 1}):
            yield pod.task.name, f"two volumes are mounted at {place}."
        for item in spec.get("tolerations", ()):
            if item.get("operator", "Equal") not in _OPERATORS or not _KEY.fullmatch(item.get("key", "any")):
                yield (
                    pod.task.name,
                    f"{json.dumps(item)} is no toleration: operator {' or '.join(_OPERATORS)}, key as a label's.",
                )
        for key in spec.get("nodeSelector", {}):
            if not _KEY.fullmatch(key):
                yield pod.task.name, f"its node selector has the key {key!r}, which no label can have."
        yield from ((pod.task.name, problem) for problem in _quantities(main.get("resources", {})))


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


def retries_in_time(subject: Subject) -> Iterator[tuple[str, str]]:
    """Retries that come too late to be allowed.

    Source: argo workflow/controller/operator.go, `processNodeRetries`: the longest pause is counted from the start of
    the first attempt; nothing is tried again after it, and an attempt that still runs is ended.
    """
    for pod in subject.pods:
        policy = pod.task.spec.get("retryPolicy", {})
        count = int(policy.get("maxRetryCount", 0))
        if not count:
            continue
        longest = _seconds(policy.get("backoffMaxDuration", "0s"))
        factor = float(policy.get("backoffFactor", 2))
        pauses = _seconds(policy.get("backoffDuration", "0s")) * sum(factor**attempt for attempt in range(count))
        gpus = any("/" in name for name in pod.patch["containers"][0]["resources"]["limits"])
        guessed = FIRST_LIFE_SECONDS if gpus or subject.package.is_ours else 0
        life = pod.manifest["spec"].get("activeDeadlineSeconds") or guessed
        if longest < pauses + life:
            yield (
                pod.task.name,
                f"its retries may go on for {longest:.0f} s from the start of its first attempt, and Argo ends what "
                f"still runs then: a task that takes longer is never tried again. Allow {pauses + life:.0f} s or more.",
            )


def _seconds(duration: str) -> float:
    return float(duration.removesuffix("s"))


def workflow_fits(subject: Subject) -> Iterator[tuple[str, str]]:
    """A workflow larger than Argo's object may be.

    Source: argo workflow/packer/packer.go, `compressWorkflow`; the size is estimated.
    """
    size = subject.size
    if size.total > LIMIT_BYTES:
        yield (
            "pipeline",
            f"the workflow of a run grows to about {_mib(size.total)} ({_mib(size.specification)} of pipeline, "
            f"{_mib(size.states)} for {size.pods} pods), and Argo ends a run at {_mib(LIMIT_BYTES)}: compile fewer "
            "iterations and go on with start_iteration, or run fewer variants at once.",
        )


def restricted_pods(subject: Subject) -> Iterator[tuple[str, str]]:
    """Pods that a namespace under the Pod Security Standard `restricted` does not let in.

    Source: Kubernetes' pod-security-admission.
    """
    for pod in subject.pods:
        if found := violations(pod.manifest["spec"]):
            yield (
                pod.task.name,
                f"a namespace that enforces the Pod Security Standard restricted refuses the pod ({'; '.join(found)}). "
                "Compile with run_as_non_root, or run it in a namespace that enforces baseline.",
            )


def room_left(subject: Subject) -> Iterator[tuple[str, str]]:
    """A workflow that comes near Argo's limit, where longer settings or more items of a loop exceed it."""
    if ROOM * LIMIT_BYTES < subject.size.total <= LIMIT_BYTES:
        yield "pipeline", f"the workflow of a run grows to about {_mib(subject.size.total)} of {_mib(LIMIT_BYTES)}."


def arguments_fit(subject: Subject) -> Iterator[tuple[str, str]]:
    """Values of a run, or parts of the pipeline, that a driver cannot be started with.

    Source: argocompiler/dag.go hands each to a program as one argument, which Linux limits. The API's own limit of
    10,000 bytes (common/util/consts.go, `MaxParameterBytes`) is for pipelines of its first version only.
    """
    known = {name: subject.values.get(name, item.default) for name, item in subject.package.inputs.items()}
    sizes = {name: len(json.dumps({name: value}, ensure_ascii=False).encode()) for name, value in known.items()}
    if sum(sizes.values()) >= LARGEST_ARGUMENT:
        largest = max(sizes, key=lambda name: sizes[name])
        yield (
            "parameters",
            f"the values of a run are {sum(sizes.values()):,} bytes long together, and no pod is started with "
            f"{LARGEST_ARGUMENT:,} or more. The longest is {largest} with {sizes[largest]:,}: put it into a file "
            "that the pods can read, and give its place.",
        )
    components = {**subject.package.spec.get("components", {}), "root": subject.package.spec["root"]}
    for name, component in sorted(components.items()):
        if len(json.dumps(component, separators=(",", ":")).encode()) >= LARGEST_ARGUMENT:
            yield (
                name,
                f"it is {LARGEST_ARGUMENT:,} bytes long or more, and no driver is started with that: compile less.",
            )


def _mib(size: int) -> str:
    return f"{size / 1024 / 1024:.2f} MiB"


FATAL: tuple[Rule, ...] = (
    known_fields,
    names,
    environment_names,
    valid_pods,
    pod_values,
    retries_in_time,
    workflow_fits,
    arguments_fit,
)
ADVISORY: tuple[Rule, ...] = (restricted_pods, room_left)


def findings(subject: Subject) -> Iterator[Finding]:
    """Yield what every rule finds."""
    for rules, fatal in ((FATAL, True), (ADVISORY, False)):
        for rule in rules:
            for where, message in rule(subject):
                yield Finding(rule.__name__.replace("_", "-"), where, message, fatal)
