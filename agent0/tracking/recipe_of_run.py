"""What MLflow keeps of an evolution that is enough to run it again."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from agent0.config import Config, parse_section
from agent0.errors import UsageError
from agent0.storage.text_files import read_object
from agent0.tracking.delivery import explained
from agent0.tracking.mlflow_runs import KIND_TAG, open_client

CONFIG_FILE = "config.json"
"""Every setting of an evolution, as an artifact of its MLflow run."""
PIPELINE_FILE = "pipeline.json"
"""What its pipeline was compiled with, and where it began, likewise."""


@dataclass(frozen=True)
class KeptRecipe:
    """What is kept of an evolution.

    Attributes:
        run_id: its run.
        config: all settings.
        code_version: of the code that it ran.
        options: what its pipeline was compiled with.
        beginning: run parameters that let it go on with an earlier evolution; empty where it began anew.
    """

    run_id: str
    config: Config
    code_version: str
    options: Mapping[str, Any]
    beginning: Mapping[str, Any]


def recipe_of(uri: str, run_id: str) -> KeptRecipe:
    """Return what the evolution of a run was made of.

    Args:
        uri: tracking store.
        run_id: the evolution's run, or one nested in it.

    Raises:
        UsageError: the run is none of an evolution, or its settings do not fit this version.
        UnreachableError, RefusedError: MLflow does not answer, or refuses.
    """
    client = open_client(uri)
    try:
        run: Run = client.get_run(run_id)
        while run.data.tags.get(KIND_TAG) != "evolution" and MLFLOW_PARENT_RUN_ID in run.data.tags:
            run = client.get_run(run.data.tags[MLFLOW_PARENT_RUN_ID])
        if run.data.tags.get(KIND_TAG) != "evolution":
            raise UsageError(f"The MLflow run {run_id} is of no evolution; `agent0 reproduce` runs evolutions again.")
        settings, pipeline = (_artifact(client, run, name) for name in (CONFIG_FILE, PIPELINE_FILE))
    except MlflowException as error:
        raise explained(error, uri) from error
    beginning = pipeline["beginning"]
    return KeptRecipe(
        str(run.info.run_id),
        parse_section(Config, settings),
        run.data.tags["agent0.code_version"],
        pipeline["options"],
        {} if beginning["iteration"] == 1 else beginning,
    )


def _artifact(client: MlflowClient, run: Run, name: str) -> dict[str, Any]:
    if all(item.path != name for item in client.list_artifacts(run.info.run_id)):
        raise UsageError(f"The MLflow run {run.info.run_id} keeps no {name}; an older version of Agent0 made it.")
    with tempfile.TemporaryDirectory(prefix="agent0-recipe-") as folder:
        path = Path(client.download_artifacts(run.info.run_id, name, folder))
        return read_object(path, f"The {name} of MLflow run {run.info.run_id}", mended_by="name another run")
