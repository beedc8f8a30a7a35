"""What a program calls in place of the command line: a whole evolution, a whole evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agent0.config import EMBEDDED_MODEL, Config
from agent0.extras import EVALUATION, EVOLUTION, require

if TYPE_CHECKING:
    from agent0.evaluation.results import EvaluationReport
    from agent0.report.history import History


def evolve(config: Config, folder: str | Path, *, resume: bool = False) -> History:
    """Run an evolution on this machine, through the compiled pipeline, as `agent0 evolve` does; return its history.

    Args:
        config: all settings, from `load_config`.
        folder: gets the compiled pipeline, the models, the report and the log.
        resume: whether to go on with the evolution that was begun there; it keeps the settings that it began with.

    Raises:
        UsageError: the settings do not fit together, or `folder` holds other files or, to resume, no evolution.
        Agent0Error: a stage failed; the message is the stage's own.
    """
    require(*EVOLUTION)
    from agent0.consistency import check_consistency
    from agent0.stages.open_history import read_history
    from agent0.tracking.tracking_location import tracking_uri
    from agent0_kfp.pipelines.local_evolution import LocalEvolution

    place = Path(folder)
    if resume:
        run = LocalEvolution.resume(place)
    else:
        check_consistency(config)
        run = LocalEvolution.create(place, config, tracking_uri())
    run.run()
    return read_history(place)


def evaluate(
    model: str,
    benchmarks: Sequence[str],
    output: str | Path,
    *,
    recipe: str = "",
    overrides: Sequence[str] = (),
    seed: int = 0,
    resume: bool = False,
) -> EvaluationReport:
    """Score a model as `agent0 evaluate` does; return the record that `output` holds then.

    Args:
        model: a folder, s3://, models:/NAME@ALIAS, package:NAME, a hub's id, or tiny.
        benchmarks: names, as `agent0 benchmarks list` has them.
        output: folder or s3:// place of the record and of every sample.
        recipe: of the settings; empty: what fits the model.
        overrides: of single settings, such as "evaluation.limit=200".
        seed: of the sampling.
        resume: whether to go on with what `output` holds; only what is missing is drawn.

    Raises:
        UsageError: a name or a setting is wrong, or `output` holds another evaluation.
        Agent0Error: there is no such model, or its place does not answer.
    """
    require(*EVALUATION)
    from agent0.consistency import read_settings
    from agent0.evaluation.local_evaluation import evaluate_model, opened

    given = [f"evaluation.benchmarks={','.join(benchmarks)}", *overrides]
    config = read_settings(recipe or EMBEDDED_MODEL, given, evolves=False)
    with opened(config, model, str(output), recipe, given, resume=resume) as (fitted, found, place):
        return evaluate_model(fitted.config, found, found.name, place, seed).report
