"""What another run can begin with: the settings of a run of this machine, and the agents of its last finished round."""

from pathlib import Path
from typing import Any

from agent0.config import Config, parse_section
from agent0.errors import UsageError
from agent0.stages.open_history import newest_history, read_history
from agent0.stages.opening import Beginning
from agent0.stages.session import read_report
from agent0.storage.digest import STAGE_FILE
from agent0.storage.seal import is_intact
from agent0_kfp.pipelines.aftermath import ARTIFACTS_FOLDER
from agent0_kfp.pipelines.run_file import read_run


def begin_after(folder: Path) -> tuple[dict[str, Any], Beginning]:
    """Return the settings of the run in `folder`, for the rounds that it lacks, and where another goes on after it.

    One that has finished all its rounds is followed by as many again; one without a finished round has settings alone.

    Raises:
        UsageError: `folder` holds no run, or the agents of its last finished round are gone.
    """
    run = read_run(folder)
    config = parse_section(Config, run["config"])
    values: dict[str, Any] = config.model_dump(mode="json")
    history = newest_history(folder)
    if history is None:
        return values, Beginning(**run.get("beginning", {}))
    past = read_history(history)
    last = past.iterations[-1].iteration
    agents = {f"{role}_model_uri": str(_trained(folder, role, last)) for role in ("curriculum", "executor")}
    values["iterations"] = past.planned_iterations - last or config.iterations
    return values, Beginning(iteration=last + 1, history_uri=str(history.absolute()), **agents)


def _trained(folder: Path, role: str, iteration: int) -> Path:
    for path in folder.glob(f"{ARTIFACTS_FOLDER}/*/{role}-training*/trained/{STAGE_FILE}"):
        if read_report(path.parent).iteration == iteration and is_intact(path.parent):
            return path.parent.absolute()
    raise UsageError(
        f"{folder} no longer holds the {role} agent of its round {iteration} whole; begin with a registered one: "
        "agent0 evolve --set model.source=models:/agent0-executor@candidate"
    )
