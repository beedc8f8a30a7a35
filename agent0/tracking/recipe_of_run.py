"""What MLflow keeps of an evolution that is enough to run it again."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from agent0.config import Config, parse_section
from agent0.errors import UsageError
from agent0.tracking.delivery import explained
from agent0.tracking.runs import KIND_TAG, open_client

CONFIG_FILE = "config.json"
"""Every setting of an evolution, as an artifact of its MLflow run."""


@dataclass(frozen=True)
class KeptRecipe:
    """An evolution's run, all its settings, and the version of the code that it ran."""

    run_id: str
    config: Config
    code_version: str


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
        if all(item.path != CONFIG_FILE for item in client.list_artifacts(run.info.run_id)):
            raise UsageError(f"The MLflow run {run.info.run_id} keeps no {CONFIG_FILE}; an older version made it.")
        with tempfile.TemporaryDirectory(prefix="agent0-recipe-") as folder:
            settings = json.loads(Path(client.download_artifacts(run.info.run_id, CONFIG_FILE, folder)).read_bytes())
    except MlflowException as error:
        raise explained(error, uri) from error
    return KeptRecipe(str(run.info.run_id), parse_section(Config, settings), run.data.tags["agent0.code_version"])
