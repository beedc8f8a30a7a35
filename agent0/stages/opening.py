"""Stage: check the whole configuration and open the evolution's MLflow run, or go on with an unfinished one.

The run's id is an input of every later task, so it decides what may come from a cache: one run holds the results of one
seed, one set of settings, one beginning and one version of the code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from agent0.ablations import active_ablations
from agent0.config import WIRE, Config, parse_section
from agent0.consistency import check_consistency, check_start
from agent0.errors import UsageError
from agent0.sandbox import open_sandbox
from agent0.stages.ablation import ablate
from agent0.stages.anchors import read_anchors
from agent0.stages.masters import check_workspace
from agent0.stages.session import flatten
from agent0.storage.digest import code_version as installed_code
from agent0.tracking.review import evolution_note
from agent0.tracking.tracking_location import tracking_uri


@dataclass(frozen=True)
class Beginning:
    """Where an evolution begins: number of the first round, agents and history of an earlier one; empty for none."""

    iteration: int = 1
    curriculum_model_uri: str = ""
    executor_model_uri: str = ""
    history_uri: str = ""


def configuration(values: Mapping[str, Any], variant: Mapping[str, Any]) -> Config:
    """Return the configuration that every later task is given.

    Args:
        values: fields and sections, as they came from the pipeline's parameters.
        variant: of an ablation, by `variant` (what is left out) and `seed`; empty for an evolution by itself.

    Raises:
        UsageError: the settings contradict each other, or leave out a part of the method beside the variant's.
    """
    if variant:
        values = {**ablate(variant["variant"], values), "seed": variant["seed"]}
    return parse_section(Config, values)


def open_evolution(
    config: Config,
    beginning: Beginning,
    code_version: str,
    run_id: str,
    job: str,
    compiled_with: Mapping[str, Any] | None = None,
) -> str:
    """Return the id of the evolution's MLflow run, which is RUNNING and tagged with `job` then.

    A run is gone on with if it is named, if the same pipeline job opened it (a task started again), or if it failed or
    was cancelled with the same settings, beginning and code.

    Args:
        config: all settings.
        beginning: where it begins.
        code_version: what its results count as; empty for the installed code.
        run_id: the run to go on with; empty to look for one, or to open a new one.
        job: id of the pipeline's run, by which `closing` finds what it has to close.
        compiled_with: options that the pipeline was compiled with; kept, so that it can be compiled again.

    Raises:
        UsageError: the settings do not fit together, need a workspace where there is none, or the named run is another
            evolution's.
        SandboxError: no sandbox service answers, or one refuses the token.
        Agent0Error: MLflow does not answer.
    """
    from agent0.tracking.job_runs import continue_run, find_unfinished, named_run  # mlflow takes seconds to import
    from agent0.tracking.mlflow_runs import start_run
    from agent0.tracking.recipe_of_run import CONFIG_FILE, PIPELINE_FILE

    check_consistency(config)
    check_workspace(config.model)
    check_start(beginning.iteration)
    read_anchors(config.executor.anchors, config.evaluation)
    if config.one_model and beginning.curriculum_model_uri != beginning.executor_model_uri:
        raise UsageError(
            f"one_model is true, but curriculum_model_uri is {beginning.curriculum_model_uri!r} and executor_model_uri "
            f"{beginning.executor_model_uri!r}; name for both the executor of the evolution that is gone on with."
        )
    if config.sandbox.endpoints:
        with open_sandbox(config.sandbox):  # every later stage would end for a service that is not there
            pass
    uri, experiment = tracking_uri(), config.tracking.experiment
    settings, version = config.model_dump(mode="json"), code_version or installed_code()
    fingerprint, left_out = _fingerprint(settings, beginning, version), active_ablations(settings)
    found = named_run(uri, run_id, fingerprint) if run_id else find_unfinished(uri, experiment, fingerprint, job)
    if found:
        continue_run(uri, found, job)
        return found
    return start_run(
        uri,
        experiment,
        " ".join(["evolution", config.recipe, *left_out, f"seed {config.seed}"]),
        {**flatten(config, "config"), **{f"beginning.{name}": value for name, value in asdict(beginning).items()}},
        {
            "agent0.recipe": config.recipe,
            "agent0.ablations": ", ".join(left_out) or "none",
            "agent0.seed": str(config.seed),
            "agent0.code_version": version,
            "agent0.fingerprint": fingerprint,
            "agent0.job": job,
        },
        (0, *range(beginning.iteration, beginning.iteration + config.iterations)),
        {
            CONFIG_FILE: json.dumps(settings, indent=2),
            PIPELINE_FILE: json.dumps({"options": dict(compiled_with or {}), "beginning": asdict(beginning)}, indent=2),
        },
        evolution_note(settings, left_out),
    )


def check_graph(config: Config, *, with_warm_start: bool, wire: int = 1) -> None:
    """Check that a run's settings, and this version, fit the tasks that compiling laid down.

    Raises:
        UsageError: the pipeline has no task for the warm start that is asked for, or has one with nothing to do, or was
            compiled by a version whose tasks this one does not know.
    """
    check_wire(wire)
    if with_warm_start != bool(config.warm_start.steps):
        compiled = "with" if with_warm_start else "without"
        raise UsageError(
            f"warm_start.steps is {config.warm_start.steps}, but the pipeline was compiled {compiled} a warm start; "
            f"compile it again with --set warm_start.steps={config.warm_start.steps}."
        )


def check_wire(wire: int) -> None:
    """Check that a pipeline was compiled by a version whose tasks hand each other what those of this one do.

    Raises:
        UsageError: it was not.
    """
    if wire != WIRE:
        raise UsageError(
            f"This pipeline was compiled by another version of Agent0, whose tasks the code in this image "
            f"({installed_code()}) does not know. Compile and upload it again with the version of the image (agent0 "
            "pipeline upload), or run it with the image that it was compiled for (--param image=...)."
        )


def _fingerprint(settings: dict[str, object], beginning: Beginning, version: str) -> str:
    record = {"settings": settings, "beginning": asdict(beginning), "code_version": version}
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
