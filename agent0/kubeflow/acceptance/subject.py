"""What a rule looks at, and what a rule is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any

from agent0.kubeflow.acceptance.pods import Pod
from agent0.kubeflow.acceptance.releases import Release
from agent0.kubeflow.acceptance.workflow_size import WorkflowSize
from agent0.kubeflow.compiled_pipeline import Package


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


def of_each_pod(rule: Callable[[Subject, Pod], Iterator[str]]) -> Rule:
    """Return the rule that says of each pod what `rule` says of one."""

    @wraps(rule)
    def of_all(subject: Subject) -> Iterator[tuple[str, str]]:
        for pod in subject.pods:
            for message in rule(subject, pod):
                yield pod.task.name, message

    return of_all
