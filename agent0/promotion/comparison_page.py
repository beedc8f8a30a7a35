"""The comparison of evaluations as a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent0.evaluation.results import BenchmarkScore, Cost, DecodingRecord
from agent0.promotion import claims, paper
from agent0.promotion.claims import Against, Run
from agent0.promotion.comparison_figures import history_figure, scores_figure
from agent0.report.intervals import Order, percent
from agent0.report.page import page

_MARKS: dict[Order, str] = {"above": "▲", "below": "▼", "overlap": "≈", "none": ""}
_DRAWN = ("base", "Agent0 iteration 3")  # rows of the figure; the table has all of them
_MANY = 4
_RATES = ("invalid", "truncated", "timeout", "error")


@dataclass(frozen=True)
class Cell:
    """A figure of the paper beside the newest run."""

    text: str
    mark: str
    relation: Order
    hint: str


def render(
    runs: Sequence[Run],
    pairs: Sequence[Against],
    base: str | None = None,
    history: Sequence[Run] | None = None,
    decision: str = "",
) -> str:
    """Return the whole page.

    Args:
        runs: evaluations, oldest first.
        pairs: their comparisons with the first (`claims.pair_runs`).
        base: the paper's base model; by the models' names.
        history: what is drawn over time, oldest first; the runs themselves if not given.
        decision: what the promotion gate decided about the newest run and what was done, as a sentence.

    Raises:
        UsageError: the paper has no such base model.
    """
    rows = claims.references(runs, base)
    shown = runs if len(runs) <= _MANY else [runs[0], *runs[1 - _MANY :]]
    newest = runs[-1]
    names = claims.benchmarks_of(runs)
    drawn = [row for row in rows if row.method in _DRAWN] if newest.report.preset == "paper" else []
    over_time = [run for run in history or runs if run.setting == newest.setting]
    return page(
        "comparison.html.j2",
        Path(__file__).parent,
        figures={"scores": scores_figure(shown, drawn), "history": history_figure(over_time)},
        runs=shown,
        hidden=len(runs) - len(shown),
        newest=newest,
        decision=decision,
        names=names,
        title=claims.title,
        judged_by=paper.JUDGED_BY,
        judging=paper.JUDGING,
        source=paper.PAPER,
        bases={base: [row for row in rows if row.base == base] for base in dict.fromkeys(row.base for row in rows)},
        cell=lambda name, row: _cell(newest, name, row),
        findings=[claims.paper_finding(newest, row) for row in rows if row.method in _DRAWN],
        pairs=[pair for pair in pairs if pair.second in shown],
        pair_finding=claims.pair_finding,
        result_relation=claims.result_relation,
        over_time=over_time[::-1],
        measured_titles=[f">{claims.title(name)}" for name in claims.benchmarks_of(over_time)],
        measured_over_time=claims.benchmarks_of(over_time),
        decoding=_decoding,
        passes=_passes,
        rates=_RATES,
        rate_heads=[f">{rate}" for rate in _RATES],
        totals=[(run, _total([score.cost for score in run.report.benchmarks])) for run in shown],
    )


def _cell(run: Run, name: str, row: paper.ReferenceRow) -> Cell:
    theirs = row.interval(name)
    if theirs is None:
        return Cell("–", "", "none", "")
    relation = claims.against_paper(run, run.report.score_of(name), row)
    hint = f"{paper.JUDGED_BY[name]}; derived interval {100 * theirs.low:.1f}–{100 * theirs.high:.1f}"
    return Cell(row.printed(name), _MARKS[relation], relation, hint)


def _decoding(score: BenchmarkScore) -> str:
    used: DecodingRecord = score.decoding
    kind = "greedy" if used.temperature == 0 else f"T {used.temperature:g}, top-p {used.top_p:g}"
    turns = f", {used.max_turns} turns" if used.max_turns > 1 else ""
    return f"{kind}, {used.max_tokens} tokens{turns}"


def _passes(score: BenchmarkScore) -> str:
    return ", ".join(f"@{k} {percent(e.mean)}" for k, e in sorted(score.pass_at_k.items()) if k > 1) or "–"


def _total(costs: Sequence[Cost]) -> Cost:
    hours = [cost.gpu_hours for cost in costs if cost.gpu_hours is not None]
    return Cost(
        prompt_tokens=sum(cost.prompt_tokens for cost in costs),
        completion_tokens=sum(cost.completion_tokens for cost in costs),
        tool_calls=sum(cost.tool_calls for cost in costs),
        seconds=sum(cost.seconds for cost in costs),
        gpu_hours=sum(hours) if hours and len(hours) == len(costs) else None,
    )
