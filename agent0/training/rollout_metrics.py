"""What the rollouts of a training batch look like, in numbers that both trainings log and the guards read."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agent0.types import Trajectory

TRUNCATED = "rollout/truncated"
TOOL_CALLS = "rollout/tool_calls"
TOOL_FORMAT = "rollout/tool_format"


def log_rollouts(log_metric: Callable[[str, float], None], trajectories: Sequence[Trajectory]) -> None:
    """Log calls per trajectory, and the shares that were truncated, gave an answer, and called with a whole program.

    Every value is logged for itself, so that the trainer's mean over processes weighs each one alike. A batch without
    tool calls has no tool format.
    """
    for trajectory in trajectories:
        log_metric(TOOL_CALLS, float(len(trajectory.tool_calls)))
        log_metric(TRUNCATED, float(trajectory.truncated))
        log_metric("rollout/answered", float(trajectory.answer is not None))
        for call in trajectory.tool_calls:
            log_metric(TOOL_FORMAT, float(call.status != "no_code"))
