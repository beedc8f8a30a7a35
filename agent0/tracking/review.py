"""What MLflow's pages show of a run beside its numbers: by whom, from what, what it is, and where its charts are.

This module does not import mlflow; the names of tags and of pages are those of MLflow 3.17.
"""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Mapping, Sequence

NOTE_TAG = "mlflow.note.content"
USER_TAG = "mlflow.user"
SOURCE_NAME_TAG, SOURCE_TYPE_TAG = "mlflow.source.name", "mlflow.source.type"
WORKFLOW = "workflowType=machine_learning"
"""Without it MLflow shows an experiment as an application's, by the latencies of its traces."""
USER_VARIABLE = "MLFLOW_TRACKING_USERNAME"
POD_VARIABLE = "KUBERNETES_SERVICE_HOST"


def charts_of(server: str, experiment: str, run_id: str) -> str:
    """Return the address of a run's charts."""
    return f"{server.rstrip('/')}/#/experiments/{experiment}/runs/{run_id}/model-metrics?{WORKFLOW}"


def opening_charts(page: str) -> str:
    """Return the address of a run's page, as others make it, so that it opens the charts; any other as it is."""
    found = re.fullmatch(r"(?P<server>.*)/#/experiments/(?P<experiment>\w+)/runs/(?P<run>\w+)/?", page)
    return charts_of(found["server"], found["experiment"], found["run"]) if found else page


def origin_tags(what: str) -> dict[str, str]:
    """Return the tags of who runs this process, and of what it runs.

    The account at the tracking server goes before that of the machine; a user without a name, as in pods, is left out.
    """
    user = os.environ.get(USER_VARIABLE) or _account()
    source = {SOURCE_NAME_TAG: f"agent0 {what}", SOURCE_TYPE_TAG: "JOB" if _in_a_pod() else "LOCAL"}
    return source | ({USER_TAG: user} if user else {})


def evolution_note(values: Mapping[str, object], ablations: Sequence[str], finding: str = "") -> str:
    """Return the description of an evolution's run, in Markdown.

    Args:
        values: of the configuration: recipe, seed, iterations, model.
        ablations: parts of the method that are left out.
        finding: what its numbers say so far.
    """
    model = values["model"]
    source = model["source"] if isinstance(model, Mapping) else model
    left_out = f" **Left out: {', '.join(ablations)}.**" if ablations else ""
    found = f"\n\n{finding}" if finding else ""
    return (
        f"Evolution of `{source}` by the recipe `{values['recipe']}`, seed {values['seed']}: "
        f"{values['iterations']} round(s).{left_out}{found}\n\nMetrics have the round as their step, `eval/accuracy` "
        "its 95 % interval as `_low` and `_high`. Its artifacts are `report.html` and `summary.json`."
    )


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a pod's user has a number alone
        return ""


def _in_a_pod() -> bool:
    return POD_VARIABLE in os.environ
