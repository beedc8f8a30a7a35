"""Evolutions and evaluations as tables for a terminal; texts and curves are left to the pages.

An accuracy is green or red where its 95 % interval does not overlap the one that it is compared with, and plain where
it does.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from agent0.cli.screen import ABSENT, STYLES, Table
from agent0.promotion import claims
from agent0.promotion.claims import Against
from agent0.promotion.claims import Run as Evaluation
from agent0.promotion.paper import JUDGED_BY
from agent0.report import wording
from agent0.report.evolution_comparison import Gap, Run, finding, gap
from agent0.report.fruitless_iterations import explanations
from agent0.report.history import History, Score
from agent0.report.intervals import bounds, compare, gap_text

SHOWN = ("base", "Agent0 iteration 3")  # rows of the paper; the page has all of them


def history_table(history: History) -> Table:
    """Return an evolution, a row for each iteration; accuracies and shares in percent.

    'calls' are tool calls per held-out question, '1st exec.' is the first executor's pass rate on the
    proposals, 'labels' the share of pseudo-labels in the band that are true.

    Raises:
        Agent0Error: the history lacks the base model's record or repeats an iteration.
    """
    base, names = wording.ordered_iterations(history)[0].executor, wording.level_names(history)
    numbers = ("all (95 %)", *names, "calls", "1st exec.", "kept", "labels")
    table = Table(
        "iter",
        *numbers,
        right=numbers,
        spare=(*names, "calls"),
        title=f"{history.title}, seed {history.seed}: executor accuracy, %",
        notes=(wording.headline(history), *explanations(history)),
    )
    measured = dict(wording.rounds(history))
    for number, executor in wording.scored(history).items():
        proposals = measured.get(number)
        table.add(
            wording.name_of(history, number),
            _overall(executor, base),
            *(_level(executor.levels.get(name), base.levels.get(name)) for name in names),
            f"{executor.tool_calls:.2f}",
            ABSENT if proposals is None else _share(proposals.first_executor_pass_rate),
            ABSENT if proposals is None else f"{proposals.kept}/{proposals.generated}",
            ABSENT if proposals is None else _share(proposals.label_accuracy),
        )
    return table


def comparison_table(runs: Sequence[Run]) -> Table:
    """Return evolutions after their last iterations, each beside the first and beside what it began with; percent."""
    numbers = ("iter", "n", "start", "last", "beside the first", "beside its start")
    notes = [finding(runs[0], run) for run in runs[1:]]
    title = "Executor accuracy, % (95 %)"
    table = Table("run", *numbers, right=numbers, spare=("n", "start"), title=title, notes=notes)
    for run in runs:
        last = run.last.executor
        table.add(
            run.name,
            wording.name_of(run.history, run.last.iteration),
            str(last.n),
            _overall(run.base, run.base),
            _overall(last, run.base),
            ABSENT if run is runs[0] else _gap(gap(runs[0].last.executor, last)),
            ABSENT if run.last.iteration == 0 else _gap(gap(run.base, last)),
        )
    return table


def evaluations_table(runs: Sequence[Evaluation], pairs: Sequence[Against], base: str | None = None) -> Table:
    """Return evaluations beside each other and beside the paper, and what may be claimed; percent.

    A figure of the paper is green where the newest run is above it.

    Raises:
        UsageError: the paper has no such base model.
    """
    rows = [row for row in claims.references(runs, base) if row.method in SHOWN]
    newest = runs[-1]
    ours = [f"{run.report.name}\n{run.setting}" for run in runs]
    theirs = [f"paper: {row.method}\n{row.base}" for row in rows]
    found = [claims.paper_finding(newest, row) for row in rows] + list(map(claims.pair_finding, pairs))
    how = "the paper's way"
    table = Table("benchmark", *ours, *theirs, how, right=(*ours, *theirs), spare=(how,), title="score, %", notes=found)
    for name in claims.benchmarks_of(runs):
        scores = [run.report.score_of(name) for run in runs]
        table.add(
            claims.title(name),
            *(ABSENT if s is None else bounds(s.score.mean, s.score.low, s.score.high) for s in scores),
            *(
                Text(row.printed(name), STYLES[claims.against_paper(newest, scores[-1], row)])
                if row.interval(name)
                else ABSENT
                for row in rows
            ),
            JUDGED_BY.get(name, "–"),
        )
    return table


def _gap(found: Gap) -> Text:
    return Text(gap_text(found), STYLES[found.order])


def _overall(score: Score, base: Score) -> Text:
    text = bounds(score.accuracy, score.ci_low, score.ci_high)
    return Text(text, STYLES[compare(base, score)])


def _level(score: Score | None, base: Score | None) -> Text:
    if score is None:
        return ABSENT
    return Text(f"{100 * score.accuracy:.0f}", "" if base is None else STYLES[compare(base, score)])


def _share(value: float | None) -> Text:
    return ABSENT if value is None else Text(f"{100 * value:.1f}")
