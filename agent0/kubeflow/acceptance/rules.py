"""The rules, each by its name: what of a pipeline a server would refuse or do wrong; of its pods, see `pod_rules`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from agent0.kubeflow.acceptance.pod_rules import (
    environment_names,
    pod_values,
    restricted_pods,
    retries_in_time,
    valid_pods,
)
from agent0.kubeflow.acceptance.rule_finding import Finding
from agent0.kubeflow.acceptance.subject import Rule, Subject
from agent0.kubeflow.acceptance.workflow_size import LIMIT_BYTES

LARGEST_ARGUMENT = 131_072
"""Bytes that Linux gives one argument of a program, its end included."""
ROOM = 0.8
"""Share of Argo's limit from which on a warning is given."""
_STEP = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]{0,127}")


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
