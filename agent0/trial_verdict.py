"""What a trial means: the figures as findings, and whether to begin, to warm up first, or to take something else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent0.config import Config
from agent0.cpu_arithmetic import arithmetic_finding
from agent0.domains import get_domain
from agent0.findings import Finding, State

if TYPE_CHECKING:
    from agent0.trial import Trial

KNOWS_PROTOCOL = 0.5
"""Share of valid proposals and of boxed answers from which a model counts as knowing the protocol. Ours."""
FEW_IN_BAND = 0.1
"""A smaller share of tasks in the band leaves next to nothing to train on. Ours."""
MUCH_TRUNCATED = 0.3
WARM_STEPS = 30
"""Steps of a warm start that this proposes. SmolLM2-135M was unsure of its tasks after them (docs/training.md)."""


@dataclass(frozen=True)
class Conclusion:
    """Whether to begin.

    Attributes:
        ready: whether the command begins what the recipe says, as it stands.
        sentence: why.
        command: what to run next.
    """

    ready: bool
    sentence: str
    command: str


def conclude(trial: Trial, config: Config, settings: str) -> Conclusion:
    """Return whether to begin an evolution.

    Args:
        trial: the figures.
        config: the recipe that was tried.
        settings: options of the command line that name recipe, model and changed settings.
    """
    begin = f"agent0 evolve {settings}"
    steps = config.warm_start.steps
    problem = _protocol_problem(trial)
    if problem:
        if steps:
            return Conclusion(
                True,
                f"{problem} As the model comes that is no surprise: this recipe begins with a warm start of {steps} "
                "steps, which is there to teach it.",
                begin,
            )
        return Conclusion(False, f"{problem} Begin with a warm start.", f"{begin} {_warm_start(config)}")
    answers = trial.answers
    if answers is not None and answers.in_band < FEW_IN_BAND:
        return _out_of_band(answers.above_band, config, begin)
    if steps:
        return Conclusion(
            True,
            f"The model knows the protocol already, and the recipe begins with a warm start of {steps} steps all the "
            "same; leave it out, unless its demonstrations are what you want to show.",
            f"{begin} --set warm_start.steps=0",
        )
    return Conclusion(True, "The model proposes, answers and is unsure of enough of its tasks: begin.", begin)


def findings(trial: Trial, config: Config) -> list[Finding]:
    """Return the figures as rows of a table, with what to do about those that are bad."""
    proposals, answers = trial.proposals, trial.answers
    share = proposals.valid / proposals.drawn
    reasons = ", ".join(f"{count} {reason}" for reason, count in proposals.rejections.items())
    rows = [
        Finding(
            "valid proposals",
            _state(share, KNOWS_PROTOCOL),
            f"{proposals.valid} of {proposals.drawn}{f' ({reasons})' if reasons else ''}",
            f"one that was not: {proposals.specimen!r}" if proposals.specimen else "",
        ),
        Finding("distinct", _state(proposals.distinct / proposals.drawn, 0.3), str(proposals.distinct)),
        Finding("calls per proposal", "ok", f"{proposals.calls:.2f}"),
    ]
    if answers is None:
        rows.append(Finding("answers", "fail", "none: no task to answer, and no program of the domain writes any"))
    else:
        band = f"{config.filtering.min_self_consistency:g}–{config.filtering.max_self_consistency:g}"
        whose = "its own tasks" if answers.own else "tasks of the domain's program, since none of its own was valid"
        called = _state(answers.calls, 0.2) if config.rollout.has_tool else "ok"
        rows += [
            Finding("answers", "ok", f"{answers.tasks} × {answers.samples}, to {whose}"),
            Finding("calls per answer", called, f"{answers.calls:.2f}"),
            Finding("boxed answers", _state(answers.boxed, KNOWS_PROTOCOL), f"{100 * answers.boxed:.0f} %"),
            Finding(
                "truncated",
                "ok" if answers.truncated <= MUCH_TRUNCATED else "warn",
                f"{100 * answers.truncated:.0f} %",
                ""
                if answers.truncated <= MUCH_TRUNCATED
                else f"raise rollout.max_response_tokens ({config.rollout.max_response_tokens}), unless it rambles",
            ),
            Finding("self-consistency", "ok", f"{answers.self_consistency:.2f}"),
            Finding(f"in the band {band}", _state(answers.in_band, FEW_IN_BAND), f"{100 * answers.in_band:.0f} %"),
        ]
        if answers.label_accuracy is not None:
            right = f"{100 * answers.label_accuracy:.0f} % of {answers.known} tasks whose truth is known"
            rows.append(Finding("votes that are true", _state(answers.label_accuracy, 0.3), right))
    rows.append(
        Finding(
            "speed",
            "ok",
            f"{trial.tokens_per_second:,.0f} tokens per second; the recipe draws about {trial.recipe_tokens:,.0f}: "
            f"{_hours(trial.drawing_hours)} at this rate, without training",
        )
    )
    if trial.cpu_rates:
        rows.append(arithmetic_finding(trial.cpu_rates, config))
    return rows


def _protocol_problem(trial: Trial) -> str:
    """Return what the model does not know of the protocol, as a sentence; empty if it knows enough."""
    proposals, answers = trial.proposals, trial.answers
    if not proposals.valid:
        return "The model proposes nothing valid, so there would be no task to train on."
    if proposals.valid < KNOWS_PROTOCOL * proposals.drawn:
        return f"Only {proposals.valid} of {proposals.drawn} proposals are valid, so most of the drawing would be lost."
    if answers is not None and answers.boxed < KNOWS_PROTOCOL:
        return f"Only {100 * answers.boxed:.0f} % of the answers are boxed, so votes would be of few samples."
    return ""


def _warm_start(config: Config) -> str:
    source = "" if get_domain(config.rollout.domain).draw else " --set warm_start.source=own"
    return f"--set warm_start.steps={WARM_STEPS}{source}"


def _out_of_band(above: float, config: Config, begin: str) -> Conclusion:
    if above >= 0.5:
        return Conclusion(
            False,
            f"The model agrees with itself on {100 * above:.0f} % of its tasks, so the filter would keep next to none: "
            "ask for harder ones with a domain or prompts of your own (rollout.domain, rollout.prompts), or let the "
            "curriculum agent look for them with more steps.",
            f"{begin} --set curriculum.steps={2 * max(1, config.curriculum.steps)}",
        )
    if config.warm_start.steps:
        return Conclusion(
            True,
            "The model hardly ever gives the same answer twice. As it comes that is no surprise: this recipe begins "
            f"with a warm start of {config.warm_start.steps} steps; try the warm model again before the rest.",
            begin,
        )
    return Conclusion(
        False,
        "The model hardly ever gives the same answer twice, so no vote would mean anything: take a larger model, an "
        "easier domain (rollout.domain), or a warm start.",
        f"{begin} {_warm_start(config)}",
    )


def _state(value: float, least: float) -> State:
    return "fail" if value == 0 else "warn" if value < least else "ok"


def _hours(hours: float) -> str:
    return f"{60 * hours:.0f} minutes" if hours < 2 else f"{hours:,.1f} hours"
