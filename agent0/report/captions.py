"""What each figure of the report rests on: its n, and what its error bars are or why it has none.

One sentence per figure, put under it. Figures that a history has nothing for have no sentence.
"""

from __future__ import annotations

from agent0.report import wording
from agent0.report.history import History

MEANS = "Means are drawn without error bars: their spread is not recorded."
COUNTS = "Counts of a whole pool, so there are no error bars."


def figure_notes(history: History) -> dict[str, str]:
    """Sentences by the name of the figure they belong to."""
    final = wording.ordered_iterations(history)[-1].executor
    measured = wording.rounds(history)
    held_out = f"n = {final.n} held-out questions{_each_level(history)}, {trajectories(final.samples)} each"
    notes = {
        "levels": f"{held_out}. Bars: 95 % intervals over questions.",
        "tools": f"Held-out: {held_out}. {MEANS}",
    }
    if not measured:
        return notes
    valid = _by_iteration({number: p.valid for number, p in measured}, "tasks")
    voted = {number: sum(p.self_consistency_histogram.values()) for number, p in measured}
    answered = _by_iteration(voted, "tasks")
    probed = _by_iteration({number: p.probed for number, p in measured}, "proposed tasks given to the first executor")
    known = _by_iteration(
        {number: p.labelled_with_truth for number, p in measured}, "tasks in the band whose truth is known"
    )
    return notes | {
        "tools": f"Held-out: {held_out}; proposals: n = {answered}. {MEANS}",
        "difficulty": f"n = {probed}. Bars: 95 % intervals over tasks.",
        "labels": f"n = {known}. Bars: 95 % intervals over tasks.",
        "consistency": f"n = {answered}. {COUNTS}",
        "yield": f"n = {_by_iteration({number: p.generated for number, p in measured}, 'proposals')}. {COUNTS}",
        "diversity": f"n = {valid}. Values of the pool as it is, so there are no error bars.",
        "training": "n = one batch per point. Every logged step is drawn, unsmoothed and without error bars.",
    }


def trajectories(count: int) -> str:
    """`1 sampled trajectory`, `2 sampled trajectories`."""
    return f"{count} sampled {'trajectory' if count == 1 else 'trajectories'}"


def _each_level(history: History) -> str:
    counts = {level.n for level in wording.ordered_iterations(history)[-1].executor.levels.values()}
    return f" ({counts.pop()} per level)" if len(counts) == 1 else ""


def _by_iteration(counts: dict[int, int], unit: str) -> str:
    """`37, 41 and 39 tasks in iterations 1 to 3`."""
    numbers = list(counts)
    if len(numbers) == 1:
        return f"{counts[numbers[0]]} {unit} in iteration {numbers[0]}"
    *most, last = (str(counts[number]) for number in numbers)
    return f"{', '.join(most)} and {last} {unit} in iterations {numbers[0]} to {numbers[-1]}"
