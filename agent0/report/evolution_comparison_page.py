"""The comparison of evolutions as a page."""

from __future__ import annotations

from collections.abc import Sequence

from agent0.report import evolution_comparison, figure_style, wording
from agent0.report.captions import trajectories
from agent0.report.evolution_comparison import Run
from agent0.report.evolution_comparison_figures import curves_figure, differences_figure, proposals_figure
from agent0.report.page import page


def render_comparison(runs: Sequence[Run]) -> str:
    """The whole page for two to five runs; every other one is compared with the first (`comparison.name_runs`)."""
    drawn = {
        "curves": curves_figure(runs),
        "differences": differences_figure(runs),
        "difficulty": proposals_figure(
            "difficulty", "First executor's pass rate on proposals", runs, wording.first_pass_interval
        ),
        "labels": proposals_figure("labels", "Kept pseudo-labels that are true", runs, wording.label_interval),
    }
    return page(
        "runs.html.j2",
        figures=drawn,
        notes=_notes(runs),
        runs=runs,
        first=runs[0],
        others=runs[1:],
        colours=[f"var({figure_style.ROLES[colour]})" for colour in figure_style.RUNS],
        comparison=evolution_comparison,
        lengths_differ=len({run.last.iteration for run in runs}) > 1,
        settings=evolution_comparison.differing_settings(runs),
    )


def _notes(runs: Sequence[Run]) -> dict[str, str]:
    """What each figure rests on: n of every run, and what its error bars are."""
    asked = _each(runs, {run.name: f"{run.base.n} questions, {trajectories(run.base.samples)} each" for run in runs})
    probed = _each(runs, {run.name: _counts([p.probed for _, p in wording.rounds(run.history)]) for run in runs})
    known = _each(
        runs, {run.name: _counts([p.labelled_with_truth for _, p in wording.rounds(run.history)]) for run in runs}
    )
    return {
        "curves": f"n = {asked}. Bars: 95 % intervals over questions.",
        "differences": f"n = {asked}. Bars: 95 % intervals of the difference, the runs taken as independent.",
        "difficulty": f"n = tasks it was given, by iteration: {probed}. Bars: 95 % intervals over tasks.",
        "labels": f"n = tasks in the band with a known truth, by iteration: {known}. Bars: 95 % intervals over tasks.",
    }


def _each(runs: Sequence[Run], texts: dict[str, str]) -> str:
    """The one text that holds for all runs, else each run's."""
    if len(set(texts.values())) == 1:
        return f"{texts[runs[0].name]} in every run"
    return "; ".join(f"{name} {text}" for name, text in texts.items())


def _counts(numbers: list[int]) -> str:
    return ", ".join(str(number) for number in numbers) or "none"
