"""What stops a training that has gone wrong, before a checkpoint of the bad step is saved.

The numbers are those that the trainer logs at each optimizer step. A weak model is no broken one: where its behaviour
is beyond a limit from the beginning, it is measured by that beginning. Leaves out going back: whoever runs the training
again starts from the last good checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from transformers import TrainerCallback

from agent0.config import GuardSettings
from agent0.errors import Agent0Error
from agent0.training.rollout_metrics import TOOL_CALLS, TOOL_FORMAT, TRUNCATED

FINITE_METRICS = ("loss", "grad_norm", "reward", "kl", "entropy")


class GuardTripped(Agent0Error):  # noqa: N818 - the name says what happened
    """A guard stopped the training."""


class NotANumberError(GuardTripped):
    """A number of an update is none any more.

    Attributes:
        found: which, and where, such as "loss is nan at step 3".
    """

    def __init__(self, message: str, found: str) -> None:
        super().__init__(message)
        self.found = found


@dataclass(frozen=True)
class _Guard:
    """One threshold on one metric."""

    metric: str
    field: str
    limit: float
    violated: Callable[[float, float], bool]
    relation: str
    advice: str
    relaxed: Callable[[float], float] | None = None
    """The limit of a policy that began with this value; None where no beginning excuses anything."""


@dataclass
class _Record:
    """What a guard has seen: values of its grace, and the steps in a row that violated it."""

    first: list[float] = field(default_factory=list)
    streak: list[int] = field(default_factory=list)


class ToolFormat:
    """The share of well-formed calls, over as many steps as it takes to see enough calls: of a few, one decides.

    Args:
        least: calls that make one measurement.
        trajectories: of a generation batch, over all processes.
    """

    def __init__(self, least: int, trajectories: int) -> None:
        self._least = least
        self._trajectories = trajectories
        self._calls = self._whole = 0.0

    def measured(self, metrics: Mapping[str, float]) -> float | None:
        """Take in a step and return the share where there are enough calls; the next measurement begins anew."""
        if TOOL_FORMAT not in metrics:
            return None
        calls = metrics[TOOL_CALLS] * self._trajectories
        self._calls += calls
        self._whole += calls * metrics[TOOL_FORMAT]
        if round(self._calls) < self._least:
            return None
        share = self._whole / self._calls
        self._calls = self._whole = 0.0
        return share


class Guards:
    """Counts for each guard the measurements in a row that violate it; a step without its metric counts neither way.

    Args:
        settings: limits, patience, grace.
        trajectories: of a generation batch, over all processes.
    """

    def __init__(self, settings: GuardSettings, trajectories: int) -> None:
        self._patience, self._grace = settings.patience, settings.grace
        self._guards = [guard for guard in _guards(settings) if guard.limit > 0]
        self._records = {guard.field: _Record() for guard in self._guards}
        self._tool_format = ToolFormat(settings.min_tool_calls, trajectories)

    def check(self, step: int, metrics: Mapping[str, float]) -> str | None:
        """Return the sentence that says what happened, or None where the training may go on.

        Args:
            step: the optimizer step that the metrics belong to.
            metrics: as logged by the trainer; those that no guard reads are ignored.
        """
        if lost := not_a_number(step, metrics):
            return (
                f"{lost}: the weights are lost from here on; lower the learning rate or training's max_grad_norm, and "
                "look at the rewards of this batch"
            )
        measured = {**metrics, TOOL_FORMAT: self._tool_format.measured(metrics)}
        values = ((guard, measured.get(guard.metric)) for guard in self._guards)
        sentences = [self._judge(guard, step, value) for guard, value in values if value is not None]
        return next((sentence for sentence in sentences if sentence), None)

    def _judge(self, guard: _Guard, step: int, value: float) -> str | None:
        first, streak = self._records[guard.field].first, self._records[guard.field].streak
        if len(first) < self._grace:
            first.append(value)
            return None
        limit = guard.limit
        if first and guard.relaxed and guard.violated(fmean(first), limit):
            limit = guard.relaxed(fmean(first))
        if not guard.violated(value, limit):
            streak.clear()
            return None
        streak.append(step)
        if len(streak) < self._patience:
            return None
        steps = "1 step" if len(streak) == 1 else f"{len(streak)} steps"
        span = f"step {step}" if len(streak) == 1 else f"steps {streak[0]} to {step}"
        allowed = f"training.guards.{guard.field} {guard.limit:g}"
        if limit != guard.limit:
            allowed += f", or rather {limit:.3g}, since it began at {fmean(first):.3g},"
        return f"{guard.metric} {value:.4g} has been {guard.relation} {allowed} for {steps} ({span}): {guard.advice}"


class GuardCallback(TrainerCallback):  # type: ignore[misc]
    """Checks each logged step on every process; the trainer logs a step before it saves it."""

    def __init__(self, guards: Guards, last_good: Callable[[], str | None]) -> None:
        self._guards = guards
        self._last_good = last_good

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called by the trainer once it knows its history: a resumed training counts on where it was."""
        for row in state.log_history:
            self._guards.check(int(row["step"]), _numbers(row))

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Called by the trainer after each optimizer step.

        Raises:
            NotANumberError: a number of the step is none.
            GuardTripped: a guard says that the training has gone wrong.
        """
        step, numbers = state.global_step, _numbers(logs or {})
        sentence = self._guards.check(step, numbers)
        if not sentence:
            return
        good = self._last_good()
        kept = f"The last good checkpoint is {good}." if good else "There is no good checkpoint yet."
        message = f"The training was stopped: {sentence}. {kept}"
        if lost := not_a_number(step, numbers):
            raise NotANumberError(f"{message} Run again, the stage goes on there with the next seed.", lost)
        raise GuardTripped(message)


def not_a_number(step: int, metrics: Mapping[str, float]) -> str | None:
    """Return which of a step's numbers is none, in words; None where all are finite."""
    lost = (name for name in FINITE_METRICS if name in metrics and not math.isfinite(metrics[name]))
    return next((f"{name} is {metrics[name]} at step {step}" for name in lost), None)


def _numbers(logs: Mapping[str, Any]) -> dict[str, float]:
    """Return what a guard may read; TRL logs None where every value of a metric was not a number."""
    numbers = {name: float(value) for name, value in logs.items() if isinstance(value, int | float)}
    return numbers | {name: math.nan for name in FINITE_METRICS if name in logs and logs[name] is None}


def _half(value: float) -> float:
    return value / 2


def _half_way_to_all(share: float) -> float:
    return (1 + share) / 2


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
            _half,
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
            _half_way_to_all,
        ),
        _Guard(
            TOOL_FORMAT,
            "min_tool_format",
            settings.min_tool_format,
            float.__lt__,
            "below",
            "the policy forgets how to write a tool call; lower the learning rate or raise the KL coefficient",
            _half,
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
