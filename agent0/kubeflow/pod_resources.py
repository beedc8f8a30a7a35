"""Other CPU or memory for the pods of a compiled pipeline, without compiling it anew."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping

from agent0.errors import UsageError
from agent0.kubeflow.compiled_pipeline import Package

RESOURCES = ("cpu", "memory")
_AGAIN = re.compile(r"-\d+$")
"""What Kubeflow's compiler appends to the name of an executor that it has already."""


def with_resources(package: Package, changes: Mapping[str, str]) -> Package:
    """Return a pipeline whose pods of a role get other resources; the cached results of its tasks stay valid.

    Args:
        package: the pipeline.
        changes: such as `training_memory` to `768Gi`, as `agent0 pipeline options` names them.

    Raises:
        UsageError: an unknown name or quantity, or no pod of that role.
    """
    from agent0.kubeflow.compile_options import CompileOptions
    from agent0.kubeflow.pod_policy import POLICIES, ROLES

    allowed = [f"{role}_{resource}" for role in ROLES for resource in RESOURCES]
    unknown = sorted(set(changes) - set(allowed))
    if unknown:
        raise UsageError(f"A run can be given other {', '.join(allowed)}; not {', '.join(unknown)}: compile it anew.")
    CompileOptions.parse(changes)
    spec = copy.deepcopy(package.spec)
    for name, value in changes.items():
        role, resource = name.split("_")
        executors = [
            executor
            for label, executor in spec["deploymentSpec"]["executors"].items()
            if (policy := POLICIES.get(component_of(label))) and policy.role == role
        ]
        if not executors or not value:
            raise UsageError(
                f"{name}={value}: the pipeline {package.name} has no pods of that kind, or no value is given."
            )
        for executor in executors:
            given = executor["container"]["resources"]
            for side in ("Request", "Limit"):
                given[f"resource{resource.title()}{side}"] = value
                given.pop(f"{resource}{side}", None)  # the same as a number of another unit, for older servers
    return Package(spec, package.platform)


def component_of(label: str) -> str:
    """Return the component that an executor of a compiled pipeline is of."""
    return _AGAIN.sub("", label.removeprefix("exec-")).replace("-", "_")
