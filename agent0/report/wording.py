"""What the numbers of a history say, in sentences that claim no more than their 95 % intervals support.

Pure functions shared by the page and the terminal table.
"""

from __future__ import annotations

import re

from agent0.errors import Agent0Error
from agent0.report.history import ExecutorScores, History, IterationRecord, ProposalStatistics
from agent0.report.intervals import Interval, compare, interval_text, percent


def ordered_iterations(history: History) -> tuple[IterationRecord, ...]:
    """The iterations by number, the base model first.

    Raises:
        Agent0Error: the base model's record (iteration 0) is missing, or a number occurs twice.
    """
    records = tuple(sorted(history.iterations, key=lambda record: record.iteration))
    numbers = [record.iteration for record in records]
    if not numbers or numbers[0] != 0:
        raise Agent0Error(
            "The history has no iteration 0; evaluate the base model first, all else is compared with it."
        )
    if len(set(numbers)) != len(numbers):
        raise Agent0Error(f"The history repeats an iteration: {numbers}; keep one record for each.")
    return records


def scored(history: History) -> dict[int, ExecutorScores]:
    """Scores by iteration; with a warm start, -1 is the base model before it."""
    before = {} if history.before_warm_start is None else {-1: history.before_warm_start}
    return before | {record.iteration: record.executor for record in ordered_iterations(history)}


def name_of(history: History, number: int) -> str:
    """What an iteration is called: its number, and before the first `base` or `warm`."""
    return str(number) if number > 0 else history.beginning if number == 0 else "base"


def rounds(history: History) -> list[tuple[int, ProposalStatistics]]:
    """Iteration number and proposal statistics of each iteration that has them."""
    return [(r.iteration, r.proposals) for r in ordered_iterations(history) if r.proposals is not None]


def level_names(history: History) -> list[str]:
    """Names of the levels in the order of their first appearance."""
    return list(dict.fromkeys(name for r in ordered_iterations(history) for name in r.executor.levels))


def first_pass_interval(proposals: ProposalStatistics) -> Interval | None:
    """The first executor's pass rate with its interval; None without a rate."""
    rate = proposals.first_executor_pass_rate
    if rate is None:
        return None
    return Interval(rate, proposals.first_executor_pass_rate_low, proposals.first_executor_pass_rate_high)


def label_interval(proposals: ProposalStatistics) -> Interval | None:
    """The accuracy of the pseudo-labels in the band with its interval; None without a value."""
    if proposals.label_accuracy is None:
        return None
    return Interval(proposals.label_accuracy, proposals.label_accuracy_low, proposals.label_accuracy_high)


def kept_band(history: History) -> tuple[float, float] | None:
    """The band of self-consistency that the filter keeps; None where the configuration lacks it."""
    filtering = history.config.get("filtering")
    if not isinstance(filtering, dict):
        return None
    low, high = filtering.get("min_self_consistency"), filtering.get("max_self_consistency")
    return None if low is None or high is None else (float(low), float(high))


def histogram(proposals: ProposalStatistics) -> list[tuple[float, int]]:
    """Self-consistency and number of tasks, ascending.

    Raises:
        Agent0Error: a key of the histogram is no number.
    """
    points = []
    for key, count in proposals.self_consistency_histogram.items():
        try:
            points.append((float(key), count))
        except ValueError as error:
            raise Agent0Error(
                f"The self-consistency histogram has the key {key!r}; keys are shares such as '0.3'."
            ) from error
    return sorted(points)


def headline(history: History) -> str:
    """Whether the intervals of the first and the final executor overlap, and what follows."""
    records = ordered_iterations(history)
    base, final = records[0].executor, records[-1].executor
    if len(records) == 1:
        return f"Only the {history.beginning} model has been measured; no finished iteration is there to compare it."
    apart = "The 95 % intervals do not overlap: on these held-out questions the evolved executor is"
    words = {
        "above": f"{apart} more accurate.",
        "below": f"{apart} less accurate.",
        "overlap": "The 95 % intervals overlap: on their own they do not establish that accuracy changed.",
    }
    return words[compare(base, final)]


def levels_finding(history: History) -> str:
    """On how many levels the final interval leaves that of the model that the evolution began with."""
    records = ordered_iterations(history)
    base = records[0].executor
    final = records[-1].executor
    shared = [name for name in base.levels if name in final.levels]
    if len(records) == 1 or not shared:
        return f"The {history.beginning} model's score is where every later one starts."
    orders = [compare(base.levels[name], final.levels[name]) for name in shared]
    return (
        f"Of {len(shared)} levels, the final interval lies above the {history.beginning} model's on "
        f"{orders.count('above')}, below on {orders.count('below')}, "
        f"and overlaps it on {orders.count('overlap')}."
    )


def difficulty_finding(history: History) -> str:
    """How the first executor fares on the proposals of the first and the last iteration."""
    measured = [(number, value) for number, p in rounds(history) if (value := first_pass_interval(p)) is not None]
    return _course(
        measured,
        subject="The first executor's pass rate on proposed tasks",
        falls="the proposals became harder for it",
        rises="the proposals became easier for it",
        none="No proposal has been given to the first executor.",
    )


def labels_finding(history: History) -> str:
    """Whether pseudo-labels decay."""
    if not rounds(history):
        return "Nothing has been proposed yet."
    measured = [(number, value) for number, p in rounds(history) if (value := label_interval(p)) is not None]
    return _course(
        measured,
        subject="Pseudo-label accuracy",
        falls="the labels decay",
        rises="the labels improve",
        none="No truth is known for these tasks, so the pseudo-labels cannot be audited.",
    )


def tools_finding(history: History) -> str:
    """Mean tool calls on the held-out questions, base and final."""
    records = ordered_iterations(history)
    base, final = records[0].executor.tool_calls, records[-1].executor.tool_calls
    if len(records) == 1:
        return f"The {history.beginning} model makes {base:.2f} tool calls per held-out question."
    means = f"On held-out questions {base:.2f} calls before and {final:.2f} after."
    return f"{means} No interval is computed for these means."


def consistency_finding(history: History) -> str:
    """How much of the last pool lies in the kept band."""
    measured, band = rounds(history), kept_band(history)
    if not measured:
        return "No task has been voted on yet."
    if band is None:
        return "The configuration names no band, so none is shaded."
    number, last = measured[-1]
    points = histogram(last)
    total = sum(count for _, count in points)
    inside = sum(count for value, count in points if in_band(value, band))
    share = f" ({percent(inside / total)})" if total else ""
    return (
        f"In iteration {number}, {inside} of {total} tasks{share} fall in the kept band {band[0]:g} ≤ p̂ ≤ {band[1]:g}."
    )


def yield_finding(history: History) -> str:
    """How many proposals become training tasks, over all iterations."""
    measured = [p for _, p in rounds(history)]
    if not measured:
        return "Nothing has been proposed yet."
    generated, kept = sum(p.generated for p in measured), sum(p.kept for p in measured)
    share = f" ({percent(kept / generated)})" if generated else ""
    return f"Over all iterations, {kept} of {generated} proposals{share} became training tasks."


def teacher_finding(history: History) -> str:
    """What a teacher's proposals cost, over all iterations; empty where none proposed."""
    paid = [p.teacher for _, p in rounds(history) if p.teacher]
    if not paid:
        return ""
    total = {name: sum(costs[name] for costs in paid) for name in paid[0]}
    return (
        f"A teacher proposed: {total['replies']:,.0f} replies of {total['completion_tokens']:,.0f} tokens to prompts "
        f"of {total['prompt_tokens']:,.0f}, at a cost of {total['cost']:,.2f} in the currency of its prices."
    )


def diversity_finding(history: History) -> str:
    """Repetition and distinct share, first and last iteration."""
    measured = rounds(history)
    if not measured:
        return "Nothing has been proposed yet."
    (first, a), (last, b) = measured[0], measured[-1]
    if first == last:
        return (
            f"In iteration {first}, a task's cluster holds {percent(a.repetition)} of the pool on average, "
            f"and {percent(a.distinct)} of the questions are distinct."
        )
    return (
        f"From iteration {first} to {last}, a task's cluster went from {percent(a.repetition)} to "
        f"{percent(b.repetition)} of the pool on average, and distinct questions from "
        f"{percent(a.distinct)} to {percent(b.distinct)}."
    )


def in_band(value: float, band: tuple[float, float]) -> bool:
    """Whether a self-consistency lies in the band, ends included."""
    return band[0] - 1e-9 <= value <= band[1] + 1e-9


def level_meaning(name: str) -> str:
    """What an arithmetic level's name stands for; empty for a name of another form."""
    match = re.fullmatch(r"(\d+)x(\d+)", name)
    if match is None:
        return ""
    digits = "1 digit" if match[2] == "1" else f"≤ {match[2]} digits"
    return f"{match[1]} operands, {digits}"


def _course(measured: list[tuple[int, Interval]], *, subject: str, falls: str, rises: str, none: str) -> str:
    if not measured:
        return none
    (first, a), (last, b) = measured[0], measured[-1]
    if first == last:
        return f"{subject} is {interval_text(*a)} in iteration {first}; one iteration shows no course."
    change = "fell" if b.mean < a.mean else "rose" if b.mean > a.mean else "went"
    start = (
        f"{subject} {change} from {interval_text(*a)} in iteration {first} to {interval_text(*b)} in iteration {last}"
    )
    ends = {
        "above": f"the intervals do not overlap: {rises}",
        "below": f"the intervals do not overlap: {falls}",
        "overlap": "the intervals overlap, so chance alone may explain the change",
        "none": "no interval is recorded, so nothing follows from the change",
    }
    return f"{start}; {ends[compare(a, b)]}."
