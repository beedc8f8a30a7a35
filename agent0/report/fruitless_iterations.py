"""Why an iteration gave nothing, in words and in a table: what its questions show, and what its tasks were worth.

The reasons are those that are known to stop a spiral; that one is named does not prove that it was the cause.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from statistics import fmean

from agent0.report import wording
from agent0.report.history import History, IterationRecord, ProposalStatistics
from agent0.report.intervals import compare, percent

Measure = Callable[[ProposalStatistics], float | None]
SIGNIFICANCE = 0.05
WRONG_LABELS = 0.1
FEWER_TASKS = 0.6
MOSTLY = 0.5
EQUAL_GROUPS = "frac_reward_zero_std"
"""TRL's name for the share of groups whose rewards are all equal."""


def explanations(history: History) -> list[str]:
    """Return a paragraph for each iteration whose executor is not shown to be better than the one before it."""
    records = wording.ordered_iterations(history)
    first = records[1] if len(records) > 1 else records[0]
    return [
        " ".join((said, *_reasons(after, first)))
        for before, after in pairwise(records)
        if (said := _verdict(before, after))
    ]


def evidence_rows(history: History) -> list[tuple[str, list[str]]]:
    """Return a row for each measure behind that, with a cell for each iteration; none where nothing is recorded."""
    records = [record for record in wording.ordered_iterations(history) if record.proposals is not None]
    rows = [
        ("questions won", [str(record.flips.won) if record.flips else "–" for record in records]),
        ("questions lost", [str(record.flips.lost) if record.flips else "–" for record in records]),
    ]
    names = dict.fromkeys(name for r in records if r.proposals for name in r.proposals.label_accuracy_by)
    measures: dict[str, Measure] = {f"labels right, {_part(name)}": _by(name) for name in names} | {
        "kept labels wrong": lambda proposals: proposals.kept_wrong,
        "kept questions like earlier ones": lambda proposals: proposals.kept_repeated,
        "mean novelty of kept questions": lambda proposals: proposals.kept_novelty,
        "clusters of like questions over questions": lambda proposals: proposals.clusters,
    }
    rows += [
        (title, [percent(measure(record.proposals)) for record in records if record.proposals])
        for title, measure in measures.items()
    ]
    return [(title, cells) for title, cells in rows if any(cell != "–" for cell in cells)]


def _by(name: str) -> Measure:
    return lambda proposals: proposals.label_accuracy_by.get(name)


def _part(name: str) -> str:
    """Return what a part of the labels is called: `p0.3_0.5` is a range of self-consistency."""
    if name.startswith("p0"):
        low, high = name.removeprefix("p").split("_")
        return f"p̂ {low} to {high}"
    return name.replace("_", " ")


def _verdict(before: IterationRecord, after: IterationRecord) -> str:
    """Return what the held-out questions say of an iteration that gave nothing; empty where it gave something."""
    name, flips = f"Iteration {after.iteration}", after.flips
    if after.kept_previous:
        return f"{name} kept the executor before it, since the training did harm to the known tasks."
    if flips is None:
        order = compare(before.executor, after.executor)
        where = "lies below" if order == "below" else "overlaps"
        return "" if order == "above" else f"{name} is not shown to have gained: its interval {where} the one before."
    counted = (
        f"of {flips.questions} held-out questions {flips.won} went from wrong to right and {flips.lost} from right to "
        f"wrong (p = {flips.p_value:.2g})"
    )
    gained = after.executor.accuracy > before.executor.accuracy
    if flips.p_value < SIGNIFICANCE:
        return "" if gained else f"{name} did harm: {counted}."
    return f"{name} gave nothing that the questions show: {counted}."


def _reasons(record: IterationRecord, first: IterationRecord) -> Iterator[str]:
    found = list(_found(record, first))
    yield f"Against it speak: {'; '.join(found)}." if found else "Nothing in its records says why."


def _found(record: IterationRecord, first: IterationRecord) -> Iterator[str]:
    proposals, beginning = record.proposals, first.proposals
    if proposals is None or beginning is None:
        return
    later = record.iteration != first.iteration
    if proposals.kept_wrong is not None and proposals.kept_wrong > WRONG_LABELS:
        before = f", {percent(beginning.kept_wrong)} in iteration {first.iteration}" if later else ""
        yield f"{percent(proposals.kept_wrong)} of the labels that it trained on are wrong{before}"
    if proposals.kept < FEWER_TASKS * beginning.kept:
        yield f"{proposals.kept} tasks were kept, {beginning.kept} in iteration {first.iteration}"
    easy = proposals.filtered.get("too_easy", 0)
    if easy > MOSTLY * proposals.valid:
        yield f"the executor was sure of {easy} of the {proposals.valid} valid tasks"
    if proposals.kept_repeated is not None and proposals.kept_repeated > MOSTLY:
        yield f"{percent(proposals.kept_repeated)} of the kept questions are like ones of earlier iterations"
    equal = [step[EQUAL_GROUPS] for step in record.training.get("executor", ()) if EQUAL_GROUPS in step]
    if equal and fmean(equal) > MOSTLY:
        yield f"in {percent(fmean(equal))} of its groups all answers earned the same, which teaches nothing"
