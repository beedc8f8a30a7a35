"""Findings as sentences: what many tasks have in common is said once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from agent0.errors import UsageError
from agent0.kubeflow.acceptance.check import check_package
from agent0.kubeflow.acceptance.releases import Release
from agent0.kubeflow.acceptance.rule_finding import Finding
from agent0.kubeflow.compiled_pipeline import Package

SHOWN = 6


def sentences(findings: Iterable[Finding]) -> list[str]:
    """Return one line for each thing that was found, with the places that it was found at."""
    places: dict[tuple[str, str], list[str]] = defaultdict(list)
    for finding in findings:
        places[finding.rule, finding.message].append(finding.where)
    lines = []
    for (rule, message), where in places.items():
        distinct = list(dict.fromkeys(where))
        first = distinct[0] if len(distinct) == 1 else f"{distinct[0]} and {len(distinct) - 1} more"
        lines.append(f"[{rule}] {first}: {message}")
    return lines


def require_accepted(package: Package, release: Release, values: Mapping[str, Any] | None = None) -> None:
    """Refuse a pipeline, with the values of a run, that the server would refuse or run wrongly.

    Raises:
        UsageError: names the rules and tasks.
    """
    fatal = sentences(finding for finding in check_package(package, release, values).findings if finding.fatal)
    if fatal:
        more = f"\n  … and {len(fatal) - SHOWN} more: agent0 pipeline check lists them" if len(fatal) > SHOWN else ""
        listed = "".join(f"\n  {line}" for line in fatal[:SHOWN])
        raise UsageError(f"Kubeflow Pipelines {release} would not run {package.name}:{listed}{more}")
