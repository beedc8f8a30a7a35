"""What a component calls: one stage, from the configuration on the wire and its artifacts to its sealed output.

A stage's function names in its signature what it reads: `rollout: RolloutSettings` is handed the section `rollout`, and
the same sections are what its MLflow run records and what its unfinished work is of.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from agent0.config import SECTIONS, Config, parse_section
from agent0.stages.session import MetricsArtifact, StageResult, open_stage


class Artifact(Protocol):
    """The part of a Kubeflow artifact that a stage reads or writes at."""

    path: str
    uri: str


def run_stage(
    function: Callable[..., StageResult],
    config: Mapping[str, Any],
    iteration: int,
    mlflow_run_id: str,
    inputs: Mapping[str, Artifact | Sequence[Artifact]],
    output: Artifact,
    metrics: MetricsArtifact,
    *,
    name: str = "",
    part: str = "",
    **given: Any,
) -> None:
    """Run a stage and finish it.

    Args:
        function: the stage; it takes the open stage, folders by name, `output`, and the sections that it names. One
            that takes `output_uri` is told where the artifact will lie.
        config: the whole configuration, as `opening` has checked it.
        iteration: number of the round; 0 is before the first.
        mlflow_run_id: run of the evolution or evaluation, in which the stage opens a nested one.
        inputs: artifacts, or lists of them, by the function's parameter. Each must be as its stage sealed it.
        output: artifact that is sealed.
        metrics: gets the stage's metrics.
        name: of the stage; by default the function's without `run_`.
        part: share of a pod where several work side by side.
        given: the function's other arguments; of an artifact its folder.

    Raises:
        UsageError: the configuration is none of this version.
        DamagedError: an input is not what the stage that wrote it had sealed.
    """
    settings = parse_section(Config, config)
    wanted = inspect.signature(function).parameters
    sections = {key: getattr(settings, key) for key in SECTIONS if key in wanted and key not in inputs}
    folders = {key: _folders(value) for key, value in inputs.items()}
    given = {key: Path(value.path) if hasattr(value, "path") else value for key, value in given.items()}
    if "output_uri" in wanted:
        given["output_uri"] = output.uri
    with open_stage(
        name or function.__name__.removeprefix("run_"),
        iteration=iteration,
        seed=settings.seed,
        mlflow_run_id=mlflow_run_id,
        settings=sections,
        inputs=_labelled(folders),
        part=part,
        note=(inspect.getdoc(inspect.getmodule(function)) or "").partition("\n\n")[0],
        also=settings.tracking.also,
    ) as stage:
        result = function(stage, output=Path(output.path), **folders, **sections, **given)
        stage.finish(result, Path(output.path), metrics)


def _folders(artifacts: Artifact | Sequence[Artifact]) -> Path | list[Path]:
    if isinstance(artifacts, Sequence):
        return [Path(artifact.path) for artifact in artifacts]
    return Path(artifacts.path)


def _labelled(folders: Mapping[str, Path | list[Path]]) -> dict[str, Path]:
    """Return each folder by the name under which its digest is recorded; those of a list are numbered."""
    alone = {key: value for key, value in folders.items() if isinstance(value, Path)}
    numbered = {
        f"{key}_{number}": folder
        for key, value in folders.items()
        if not isinstance(value, Path)
        for number, folder in enumerate(value)
    }
    return {**alone, **numbered}
