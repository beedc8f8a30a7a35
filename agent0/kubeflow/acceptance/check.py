"""The check of a whole pipeline against a release of the server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent0.kubeflow.acceptance.pods import Pod, PodMaker
from agent0.kubeflow.acceptance.releases import Release
from agent0.kubeflow.acceptance.resolution import resolve
from agent0.kubeflow.acceptance.rule_finding import Finding
from agent0.kubeflow.acceptance.rules import findings
from agent0.kubeflow.acceptance.subject import Subject
from agent0.kubeflow.acceptance.workflow_size import WorkflowSize, workflow_size
from agent0.kubeflow.compiled_pipeline import Package


@dataclass(frozen=True)
class Checked:
    """What a check found, with the pods and the size of the workflow."""

    findings: tuple[Finding, ...]
    pods: tuple[Pod, ...]
    size: WorkflowSize

    @property
    def accepted(self) -> bool:
        """Whether the server runs the pipeline, as far as the rules can tell."""
        return not any(finding.fatal for finding in self.findings)


def check_package(package: Package, release: Release, values: Mapping[str, Any] | None = None) -> Checked:
    """Check a pipeline.

    Args:
        package: the pipeline.
        release: of the server.
        values: values of a run that replace the pipeline's defaults.
    """
    given = values or {}
    resolution = resolve(package, given, expected_rounds(package, given))
    maker = PodMaker(package.platform, release, package.name)
    pods = tuple(maker.make(task) for task in resolution.tasks)
    size = workflow_size(package, pods)
    subject = Subject(package, release, given, pods, size)
    return Checked((*resolution.findings, *maker.findings, *findings(subject)), pods, size)


def expected_rounds(package: Package, values: Mapping[str, Any]) -> dict[str, int]:
    """Return how often the loops of our pipelines run whose lists are made by a task, by the list's name."""
    known = {name: values.get(name, item.default) for name, item in package.inputs.items()}
    rounds = {}
    if isinstance(evaluation := known.get("evaluation"), dict):
        rounds["benchmarks"] = len(evaluation.get("benchmarks", ()))
    if isinstance(variants := known.get("variants"), list) and isinstance(seeds := known.get("seeds"), list):
        rounds["runs"] = len(variants) * len(seeds)
    return rounds
