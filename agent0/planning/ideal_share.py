"""What the GPUs of an iteration do, and the share of their time in which they do what must be done.

Ideal are the tokens that must be drawn and trained on, at the rates of GPUs that do nothing else: one full engine on
each for what is drawn, no padding and no pass made twice for what is trained on. Everything else is named and priced.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import Field

from agent0.planning.checkpoint_costs import CheckpointPlan
from agent0.planning.duration import ENGINE_START_SECONDS, STEP_OVERHEAD_SECONDS, STREAMING, Duration, stage_drawings
from agent0.planning.placement import Placement, StageName
from agent0.planning.stage_demands import PlanRecord
from agent0.planning.throughput import (
    DECODE_EFFICIENCY,
    TRAINING_UTILISATION,
    USEFUL_TOKENS,
    Setting,
    best_drawing_rate,
    best_training_rate,
    drawing_rate,
    training_rate,
)
from agent0.planning.token_work import Work

DRAWN, TRAINED = "tokens drawn", "tokens trained on"
PADDING, RECOMPUTED, SLOWER, TAILS = "padding", "recomputed activations", "engines below that rate", "slow tails"
CHANGING, STARTING, CHECKPOINTS, WAITING = "weights, sleep, rewards", "starts", "checkpoints", "GPUs that wait"
IDEAL = (DRAWN, TRAINED)
SOURCES = {
    DRAWN: f"roofline x {DECODE_EFFICIENCY} (cited: one request 0.77)",
    TRAINED: f"peak x {TRAINING_UTILISATION} (0.33 to 0.35: docs/gpu.md)",
    PADDING: f"at most {1 - USEFUL_TOKENS:.0%} (bench/training.py)",
    RECOMPUTED: "arithmetic: a forward pass more",
    SLOWER: "arithmetic: cache that memory leaves them",
    TAILS: "arithmetic: longest response less mean",
    CHANGING: f"{STEP_OVERHEAD_SECONDS:.0f} s a batch (cited: wakes in up to 2.6)",
    STARTING: f"{ENGINE_START_SECONDS:.0f} s a stage (cited: 30 to over 100)",
    CHECKPOINTS: "10 and 1 GB/s, assumed (docs/plan.md)",
    WAITING: f"the rest; {STREAMING} x the longer: bench/waiting",
}
"""What each term rests on; docs/plan.md has the sources in full. The order is that of a table."""
SECONDS_PER_HOUR = 3600.0
ROUNDING = 1e-9


class Term(PlanRecord):
    """What a part of the GPUs' time goes into."""

    name: str
    gpu_hours: float = Field(description="Of all GPUs in one iteration.")
    share: float = Field(description="Of the GPUs' time.")
    source: str


def ideal_share(terms: Iterable[Term]) -> float:
    """Return the share of the GPUs' time that goes into what must be done."""
    return sum(term.share for term in terms if term.name in IDEAL)


def stage_terms(
    stage: StageName,
    placement: Placement,
    work: Work,
    setting: Setting,
    duration: Duration,
    checkpoints: CheckpointPlan | None,
) -> dict[str, float]:
    """Return what the GPUs' seconds of one stage go into, by term; they add up to all that it takes of all GPUs."""
    total, measured = setting.cluster.total, setting.measured
    kept = checkpoints.seconds if checkpoints else 0.0
    drawn = 0.0
    for drawing in stage_drawings(stage, placement, work, setting.config):
        if drawing.tokens:
            drawn += drawing.tokens / (drawing.measured_rate(measured) or drawing_rate(setting, drawing))
    best_drawn = (measured.generated_per_second if measured else None) or best_drawing_rate(setting)
    spent = {DRAWN: work.drawn / best_drawn}
    spent[SLOWER] = drawn - spent[DRAWN]
    if work.trained:
        given = measured.trained_per_second if measured else None  # padding and recomputation are in it
        best, real = given or best_training_rate(setting, stage), given or training_rate(setting, stage)
        useful = given or best * USEFUL_TOKENS
        spent[TRAINED] = work.trained / best
        spent[PADDING] = work.trained / useful - work.trained / best
        spent[RECOMPUTED] = work.trained / real - work.trained / useful
    spent[TAILS] = duration.gpu_tails
    spent[CHANGING], spent[STARTING] = duration.changing * total, duration.starting * total
    spent[CHECKPOINTS] = kept * total
    spent[WAITING] = (duration.seconds + kept) * total - sum(spent.values())
    return spent


def priced(spent: Mapping[str, float], measured_by: str | None) -> tuple[Term, ...]:
    """Return the terms of an iteration from the GPUs' seconds of all its stages."""
    total = sum(spent.values())
    sources = {**SOURCES, **({DRAWN: measured_by, TRAINED: measured_by} if measured_by else {})}
    return tuple(
        Term(name=name, gpu_hours=spent[name] / SECONDS_PER_HOUR, share=spent[name] / total, source=sources[name])
        for name in SOURCES
        if abs(spent.get(name, 0.0)) > ROUNDING * total
    )
