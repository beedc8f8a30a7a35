"""Pieces that the cards of models and of tasks share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from agent0.report import wording
from agent0.report.history import History
from agent0.report.intervals import bounds, interval_text, percent

METHOD = (
    "Two agents grew from one base model without human data, by the method of Agent0 "
    "([arXiv 2511.16043](https://arxiv.org/abs/2511.16043)): a curriculum agent is rewarded for tasks at the edge of "
    "what an executor can do; the executor solves them with a sandboxed Python interpreter and is trained on those "
    "on which its own votes are divided."
)


def metadata(**values: Any) -> str:
    """Return the head of a card, which the hub reads; values that are empty are left out."""
    from huggingface_hub import CardData

    return f"---\n{CardData(**{name: value for name, value in values.items() if value})}\n---\n"


def joined(*parts: str) -> str:
    """Return paragraphs as a page, with plain blanks."""
    return "\n\n".join(parts).replace("\u00a0", " ") + "\n"


def rows(columns: Sequence[str], cells: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [columns, ["---"] * len(columns), *cells]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines)


def rounds_table(history: History) -> str:
    """Return a table of the rounds: accuracy, and what was proposed, kept and rightly labelled."""
    columns = ("round", "accuracy", "questions", "proposed", "kept", "labels right", "first executor solves")
    measured = dict(wording.rounds(history))
    cells = []
    for number, scores in wording.scored(history).items():
        found, absent = measured.get(number), ("–",) * 4
        tasks = (
            absent
            if found is None
            else (
                str(found.generated),
                str(found.kept),
                interval_text(*(wording.label_interval(found) or (None, None, None))),
                percent(found.first_executor_pass_rate),
            )
        )
        accuracy = bounds(scores.accuracy, scores.ci_low, scores.ci_high)
        cells.append((wording.name_of(history, number), accuracy, str(scores.n), *tasks))
    return rows(columns, cells)
