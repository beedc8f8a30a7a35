"""The numbers of a training's steps: shown while it runs, and summed up at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from agent0.stages.session import Stage
from agent0.training.training_job import LogMetrics

SUMMARY_STEPS = 4


def step_logger(stage: Stage, agent: str, total: int, headline: Sequence[str]) -> LogMetrics:
    """Return a function that reports each step as progress and to the tracker, under the prefix `agent`."""

    def log(numbers: Mapping[str, float], step: int) -> None:
        shown = {name: numbers[name] for name in headline if name in numbers}
        stage.progress.step(step, total, "training steps", shown)
        stage.tracker.log_metrics({f"{agent}/{name}": value for name, value in numbers.items()}, step)

    return log


def last_steps(log: Sequence[Mapping[str, float]], agent: str, headline: Sequence[str]) -> dict[str, float]:
    """Return the mean of each headline number over the last few steps that have it."""
    tails = {name: [row[name] for row in log if name in row][-SUMMARY_STEPS:] for name in headline}
    return {f"{agent}/final_{name.replace('/', '_')}": fmean(tail) for name, tail in tails.items() if tail}


def sandbox_readings(log: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the sandbox's last reading; empty where no step was logged."""
    return {name: value for name, value in log[-1].items() if name.startswith("sandbox/")} if log else {}


def training_rates(log: Sequence[Mapping[str, float]], sequences: int) -> dict[str, float]:
    """Return how much was drawn and trained on and in what time, from which `agent0 plan` learns rates.

    Args:
        log: each step's numbers.
        sequences: trajectories in a generation batch.
    """
    batches = [row for row in log if "completions/mean_length" in row]
    seconds = {
        name: sum(row.get(name, 0.0) for row in log) for name in ("step_time", "rollout/seconds", "reward/seconds")
    }
    drawing = sum(map(_waited, log))
    return {
        "system/generated_tokens": sum(row["completions/mean_length"] for row in batches) * sequences,
        "system/generation_seconds": seconds["rollout/seconds"],
        "system/trained_tokens": batches[-1]["num_tokens"] if batches else 0.0,
        "system/training_seconds": seconds["step_time"] - drawing - seconds["reward/seconds"],
    }


def _waited(row: Mapping[str, float]) -> float:
    """Return the seconds of a step in which nothing was trained on, since its batch was still being drawn.

    A batch that was drawn ahead, by older weights, was drawn in the time of the steps before.
    """
    drawn = 0.0 if row.get("rollout/staleness") else row.get("rollout/seconds", 0.0)
    return drawn + row.get("rollout/waited_seconds", 0.0)
