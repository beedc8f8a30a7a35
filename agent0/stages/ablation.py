"""Stages of an ablation: which variants run, what is left out of one, and their comparison."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agent0.ablations import ABLATIONS, FULL, active_ablations
from agent0.config import TrackingSettings
from agent0.consistency import check_seeds, check_variants
from agent0.errors import UsageError
from agent0.report.ablation_effects import render_ablation, rows
from agent0.report.history import HISTORY_FILE, History
from agent0.stages.open_history import MLFLOW_SCHEME, open_history, read_history
from agent0.stages.session import Stage, StageResult
from agent0.storage.atomic_file import atomic_write, write_json
from agent0.storage.digest import code_version
from agent0.tracking.tracking_location import tracking_uri

TABLE_FILE = "ablation.json"
PAGE_FILE = "ablation.html"


def prepare_ablation(
    recipe: str, variants: Sequence[str], seeds: Sequence[int], group: str, tracking: TrackingSettings, job: str
) -> tuple[str, list[dict[str, Any]]]:
    """Open the ablation's MLflow run; return its id and each variant with each seed.

    Args:
        recipe: name under which it is tracked.
        variants: what to compare.
        seeds: of each variant.
        group: name that jobs of one ablation share, each of which has some of its variants; empty for a single job.
        tracking: MLflow experiment.
        job: id of the pipeline's run.

    Raises:
        UsageError: an unknown variant, a seed out of range, one of them named twice, or no full method to compare with.
        Agent0Error: MLflow does not answer.
    """
    from agent0.tracking.job_runs import GROUP_TAG, JOB_TAG  # mlflow takes seconds to import
    from agent0.tracking.mlflow_runs import start_run

    seeds = [int(seed) for seed in seeds]  # Kubeflow's local runner makes floats of numbers in lists
    check_variants(variants)
    check_seeds(seeds)
    if FULL not in variants and not group:
        raise UsageError(f"Every variant is compared with the full method; add {FULL!r} to the variants.")
    run_id = start_run(
        tracking_uri(),
        tracking.experiment,
        f"ablation {recipe}",
        {"variants": ", ".join(variants), "seeds": ", ".join(map(str, seeds))},
        {"agent0.recipe": recipe, "agent0.code_version": code_version(), JOB_TAG: job, GROUP_TAG: group},
        note=f"Ablation of the recipe `{recipe}`: {', '.join(variants)}, each with the seeds "
        f"{', '.join(map(str, seeds))}. Each is an evolution of its own; the comparison is the artifact `{PAGE_FILE}`.",
    )
    return run_id, [{"variant": variant, "seed": seed} for seed in seeds for variant in variants]


def ablate(variant: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with a part of the method left out; the full method's are as they were.

    Raises:
        UsageError: the settings leave out a part themselves, so there is no full method to compare with.
    """
    already = active_ablations(settings)
    if already:
        raise UsageError(
            f"The settings themselves leave out {', '.join(already)}; give the full method's and name the variant."
        )
    changed: dict[str, Any] = json.loads(json.dumps(settings))
    for key, value in ABLATIONS[variant].settings.items() if variant != FULL else ():
        *parents, leaf = key.split(".")
        target: dict[str, Any] = changed
        for parent in parents:
            target = target[parent]
        target[leaf] = value
    return changed


def run_ablation_comparison(
    stage: Stage,
    *,
    histories: Sequence[Path],
    recipe: str,
    group: str,
    tracking: TrackingSettings,
    output: Path,
    page: Path,
) -> StageResult:
    """Write the table and the page of all variants to `output`, and the page to `page` as well.

    With a group, those of its other jobs that have ended a round are in it, too: whoever ends last has the whole table.

    Raises:
        Agent0Error: a folder holds no history, or MLflow does not answer.
    """
    others = _histories_of(group, tracking) if group else []
    found: dict[tuple[str, int], History] = {}
    for history in [*others, *(read_history(folder) for folder in histories)]:
        variant = next(iter(active_ablations(history.config)), FULL)
        found[variant, history.seed] = history
    table = rows(found)
    write_json(output / TABLE_FILE, [asdict(row) for row in table])
    text = render_ablation(table, recipe)
    for path in (output / PAGE_FILE, page):
        with atomic_write(path) as file:
            file.write(text)
    metrics = {f"ablation/{row.variant}": row.final for row in table}
    stage.evolution.log_metrics(metrics, stage.iteration)
    for name in (TABLE_FILE, PAGE_FILE):
        stage.evolution.log_file(output / name)
    stage.evolution.set_status("FINISHED")
    return StageResult(metrics)


def _histories_of(group: str, tracking: TrackingSettings) -> list[History]:
    """Return what MLflow keeps of the evolutions of a group's jobs, the oldest first."""
    from agent0.tracking.job_runs import keeps, runs_of_group

    uri = tracking_uri()
    runs = reversed(runs_of_group(uri, tracking.experiment, group))
    return [open_history(f"{MLFLOW_SCHEME}{run_id}") for run_id in runs if keeps(uri, run_id, HISTORY_FILE)]
