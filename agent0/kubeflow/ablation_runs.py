"""An ablation whose workflow would not fit into Argo's object: one run for each variant, compared as a group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent0.kubeflow.acceptance import Release, check_package
from agent0.kubeflow.acceptance.rules import workflow_fits
from agent0.kubeflow.compiled_pipeline import Package

_TOO_LARGE = workflow_fits.__name__.replace("_", "-")


def divided(package: Package, release: Release, values: Mapping[str, Any], group: str) -> list[dict[str, Any]]:
    """Return the values of each run that an ablation takes: as they are, by variant, or by variant and seed.

    Args:
        package: the pipeline; one that is no ablation is left alone.
        release: of the server.
        values: of the run that was asked for.
        group: name that the runs share if they are several.
    """
    whole = dict(values)
    known = {name: values.get(name, item.default) for name, item in package.inputs.items()}
    if "variants" not in known or "group" not in known or _fits(package, release, whole):
        return [whole]
    variants, seeds = known["variants"], known["seeds"]
    by_variant = [{**whole, "group": group, "variants": [variant]} for variant in variants]
    if all(_fits(package, release, each) for each in by_variant):
        return by_variant
    return [{**each, "seeds": [seed]} for each in by_variant for seed in seeds]


def label_of(part: Mapping[str, Any]) -> str:
    """Return what tells a part from the others: its variant, and its seed where it has only one of them."""
    seeds = part["seeds"] if len(part.get("seeds", ())) == 1 else ()
    return " ".join([*part["variants"], *(f"seed {seed}" for seed in seeds)])


def _fits(package: Package, release: Release, values: Mapping[str, Any]) -> bool:
    return all(finding.rule != _TOO_LARGE for finding in check_package(package, release, values).findings)
