"""One run of the ablation: an evolution of one variant with one seed, its record, and whether its switches acted."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ablation_record import Record, measure, write_record
from ablation_variants import Variant, World, overrides
from tiny_evolution import evolve

from agent0.ablations import FULL
from agent0.config import load_config
from agent0.progress import plain_line, read_events
from agent0.stages.base_model import run_base_model
from agent0.stages.session import Stage
from agent0.stages.warm_start import run_warm_start
from agent0.storage.seal import is_intact, seal

TRACES: Mapping[str, tuple[str, ...]] = {
    "no-curriculum-training": ("proposer's changed tensors",),
    "no-tool-reward": ("tool reward",),
    "no-repetition-penalty": ("repetition penalty",),
    "grpo": ("ADPO metrics",),
    "single-turn": ("second programs",),
    "proposer-without-tool": ("proposer's tool calls",),
    "no-tool": ("executor's tool calls", "proposer's tool calls", "second programs"),
}
"""What must be zero where an ablation acts."""
MAY_BE_ZERO = {"second programs"}  # a model that learned to write one program may never write two


@dataclass(frozen=True)
class Run:
    """One evolution; without a record it has not ended, and `failure` says why, where it is known."""

    variant: str
    seed: int
    record: Record | None = None
    failure: str = ""


def run_variant(
    folder: Path,
    kept: Path,
    planned: Run,
    variant: Variant,
    recipe: str,
    settings: Sequence[str],
    start: Sequence[str] = (),
) -> Run:
    """Run one evolution, or go on with the one in `folder`, and keep its record.

    Args:
        folder: of the evolution.
        kept: file of its record.
        planned: variant and seed.
        variant: what differs from the full method.
        recipe: that it is under.
        settings: of the run, which the record names.
        start: settings that say which model it begins with.
    """
    try:
        evolve(folder, planned.seed, [*settings, *start], variant.ablations, recipe=recipe)
    except subprocess.CalledProcessError:
        return replace(planned, failure=last_error(folder))
    record = measure(folder, settings)
    write_record(kept, record)
    return replace(planned, record=record)


def begin_warm(folder: Path, world: World, variant: Variant, more: Sequence[str]) -> list[str]:
    """Return the settings by which runs begin with one model after its warm start, which is made if it is not there.

    One for agents with a tool and one for those without. Every seed evolves the same model, as it would a pretrained
    one: seeds differ in what is drawn. A variant under another recipe has that recipe's warm start beyond it.
    """
    ablations = () if variant.recipe else variant.ablations
    config = load_config(world.recipe, overrides(world, Variant(""), more), ablations)
    place = (folder / ("warm" if config.rollout.has_tool else "warm-without-tool")).resolve()
    base, warm = place / "base", place / "model"
    if not is_intact(warm):
        for made in (base, warm):
            made.mkdir(parents=True, exist_ok=True)
        run_base_model(Stage.untracked("base_model", 0), output=base, model=config.model)
        run_warm_start(
            Stage.untracked("warm_start", 0),
            base_model=base,
            output=warm,
            rollout=config.rollout,
            sandbox=config.sandbox,
            warm_start=config.warm_start,
            curriculum=config.curriculum,
            training=config.training,
        )
        seal(warm)
    return [f"model.source={warm}", *([] if variant.recipe else ["warm_start.steps=0"])]


def last_error(folder: Path) -> str:
    """Return the last error that a stage of a run told, as a sentence."""
    events = read_events((folder / "progress.jsonl").read_bytes()) if (folder / "progress.jsonl").is_file() else ()
    told = [plain_line(event) for event in events if event["kind"] == "error"]
    return told[-1] if told else "it ended without saying why; see its log.txt"


def find_problems(runs: Sequence[Run], variants: Mapping[str, Variant]) -> Iterator[str]:
    """Say which runs failed, and where a switch did not do what it is for."""
    for run in runs:
        where = f"{run.variant}, seed {run.seed}"
        if run.record is None:
            yield from [f"{where}: the run did not end: {run.failure}"] if run.failure else ()
            continue
        traces = run.record.traces
        silent = {name for ablation in variants[run.variant].ablations for name in TRACES[ablation]}
        yield from (f"{where}: {name} should be 0 and is {traces[name]:g}." for name in sorted(silent) if traces[name])
        if run.variant == FULL:
            missing = [name for name, value in traces.items() if not value and name not in MAY_BE_ZERO]
            yield from (f"{where}: {name} is 0, so its ablation shows nothing." for name in missing)
