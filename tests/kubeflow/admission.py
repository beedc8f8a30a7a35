"""What the driver refuses to prepare, and what Kubernetes refuses to start, of the tasks of a run.

Inputs are resolved and pods rendered by the rules of `agent0.kubeflow.acceptance`, which follow the driver's source;
the pods of the kept pipelines are also sent to a real API server (`acceptance/test_admission.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from agent0.kubeflow.acceptance import Finding, check_package, release_of
from agent0.kubeflow.compiled_pipeline import package_of
from agent0.kubeflow.server_connection import parse_version
from tests.kubeflow.argo import Step

BY_THE_DRIVER = {"inputs-exist", "input-types", "placeholders-are-strings", "object-names"}
BY_KUBERNETES = {"environment-names", "valid-pods", "pod-values"}


def refusal(step: Step, struct: Mapping[str, Any], values: Mapping[str, Any], version: str) -> str | None:
    """Return why a task of a run does not begin: the driver's error, or the API server's; None if it does."""
    found = _findings(json.dumps(struct), json.dumps(values), version)
    own = [finding for finding in found if finding.where == "/".join(step.path)]
    for finding in own:
        if finding.rule in BY_THE_DRIVER:
            return (
                f"KFP driver: driver.Container(pipelineName=agent0) failed: failed to resolve inputs: {finding.message}"
            )
    for finding in own:
        if finding.rule in BY_KUBERNETES:
            return f'Pod "{step.name}" is invalid: {finding.message}'
    return None


@lru_cache(maxsize=8)
def _findings(struct: str, values: str, version: str) -> tuple[Finding, ...]:
    package = package_of(json.loads(struct), "The run")
    return check_package(package, release_of(parse_version(version)), json.loads(values)).findings
