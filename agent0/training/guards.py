"""What stops a training that has gone wrong, before a checkpoint of the bad step is saved.

The numbers are those that the trainer logs at each optimizer step. Leaves out going back: whoever runs the training
again starts from the last good checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from transformers import TrainerCallback

from agent0.config import GuardSettings
from agent0.errors import Agent0Error
from agent0.training.rollout_metrics import TOOL_FORMAT, TRUNCATED

FINITE_METRICS = ("loss", "grad_norm", "reward", "kl", "entropy")


class GuardTripped(Agent0Error):  # noqa: N818 - the name says what happened
    """A guard stopped the training."""


@dataclass(frozen=True)
class _Guard:
    """One threshold on one metric."""

    metric: str
    field: str
    limit: float
    violated: Callable[[float, float], bool]
    relation: str
    advice: str


class Guards:
    """Counts for each guard the steps in a row that violate it; a step without its metric counts neither way."""

    def __init__(self, settings: GuardSettings) -> None:
        self._patience = settings.patience
        self._guards = [guard for guard in _guards(settings) if guard.limit > 0]
        self._streaks: dict[str, list[int]] = {guard.field: [] for guard in self._guards}

    def check(self, step: int, metrics: Mapping[str, float]) -> str | None:
        """Return the sentence that says what happened, or None where the training may go on.

        Args:
            step: the optimizer step that the metrics belong to.
            metrics: as logged by the trainer; those that no guard reads are ignored.
        """
        for name in FINITE_METRICS:
            if name in metrics and not math.isfinite(metrics[name]):
                return (
                    f"{name} is {metrics[name]} at step {step}: the weights are lost from here on; lower the learning "
                    "rate or training's max_grad_norm, and look at the rewards of this batch"
                )
        sentences = [
            self._judge(guard, step, metrics[guard.metric]) for guard in self._guards if guard.metric in metrics
        ]
        return next((sentence for sentence in sentences if sentence), None)

    def _judge(self, guard: _Guard, step: int, value: float) -> str | None:
        streak = self._streaks[guard.field]
        if not guard.violated(value, guard.limit):
            streak.clear()
            return None
        streak.append(step)
        if len(streak) < self._patience:
            return None
        steps = "1 step" if len(streak) == 1 else f"{len(streak)} steps"
        span = f"step {step}" if len(streak) == 1 else f"steps {streak[0]} to {step}"
        return (
            f"{guard.metric} {value:.4g} has been {guard.relation} training.guards.{guard.field} {guard.limit:g} for "
            f"{steps} ({span}): {guard.advice}"
        )


class GuardCallback(TrainerCallback):  # type: ignore[misc]
    """Checks each logged step on every process; the trainer logs a step before it saves it."""

    def __init__(self, guards: Guards, last_good: Callable[[], str | None]) -> None:
        self._guards = guards
        self._last_good = last_good

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Called by the trainer after each optimizer step.

        TRL logs None where every value of a metric was not a number.

        Raises:
            GuardTripped: a guard says that the training has gone wrong.
        """
        logs = logs or {}
        metrics = {name: float(value) for name, value in logs.items() if isinstance(value, int | float)}
        metrics |= {name: math.nan for name in FINITE_METRICS if name in logs and logs[name] is None}
        sentence = self._guards.check(state.global_step, metrics)
        if sentence:
            good = self._last_good()
            kept = f"The last good checkpoint is {good}." if good else "There is no good checkpoint yet."
            raise GuardTripped(f"The training was stopped: {sentence}. {kept}")


def _guards(settings: GuardSettings) -> list[_Guard]:
    return [
        _Guard(
            "grad_norm",
            "max_grad_norm",
            settings.max_grad_norm,
            float.__gt__,
            "above",
            "the gradient explodes; lower the learning rate",
        ),
        _Guard(
            "entropy",
            "min_entropy",
            settings.min_entropy,
            float.__lt__,
            "below",
            "the policy has collapsed onto single tokens; lower the learning rate or raise the KL coefficient",
        ),
        _Guard(
            "frac_reward_zero_std",
            "max_zero_advantage_share",
            settings.max_zero_advantage_share,
            float.__ge__,
            "at or above",
            "these groups have equal rewards and teach nothing; draw larger groups or tasks of another difficulty",
        ),
        _Guard(
            TRUNCATED,
            "max_truncated_share",
            settings.max_truncated_share,
            float.__gt__,
            "above",
            "trajectories run out of budget; raise rollout.max_response_tokens or rollout.max_turns",
        ),
        _Guard(
            TOOL_FORMAT,
            "min_tool_format",
            settings.min_tool_format,
            float.__lt__,
            "below",
            "the policy forgets how to write a tool call; lower the learning rate or raise the KL coefficient",
        ),
        _Guard(
            # The logged ratios are already capped by the correction; this difference is not, and has both directions.
            "sampling/sampling_logp_difference/max",
            "max_importance_ratio",
            settings.max_importance_ratio,
            _ratio_above,
            "above the logarithm of",
            "vLLM's probabilities are no longer the trainer's; check the weight sync and the precision of both",
        ),
    ]


def _ratio_above(log_ratio: float, limit: float) -> bool:
    return log_ratio > math.log(limit)
