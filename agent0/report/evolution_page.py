"""The report of an evolution as a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent0.progress import duration
from agent0.report import figures, trajectories, wording
from agent0.report.captions import figure_notes
from agent0.report.fruitless_iterations import evidence_rows, explanations
from agent0.report.history import Example, History
from agent0.report.intervals import percent
from agent0.report.page import flatten, page
from agent0.report.training_figure import clipping_note, training_figure

TRAJECTORIES = 12
QUESTION_CHARACTERS = 300
ANSWER_CHARACTERS = 80


@dataclass(frozen=True)
class Tile:
    """A key number at the top of the page."""

    label: str
    value: str
    note: str


@dataclass(frozen=True)
class Reading:
    """An example as the page shows it."""

    example: Example
    mark: trajectories.Mark
    question: str
    answer: str
    label: str
    truth: str
    segments: list[trajectories.Segment]


def render(history: History) -> str:
    """The whole page.

    Raises:
        Agent0Error: the history lacks the base model's record or repeats an iteration.
    """
    records = wording.ordered_iterations(history)
    return page(
        "report.html.j2",
        figures=_figures(history),
        notes=figure_notes(history),
        history=history,
        records=records,
        rounds=wording.rounds(history),
        base=records[0].executor,
        final=records[-1].executor,
        tiles=_tiles(history),
        explanations=explanations(history),
        evidence=evidence_rows(history),
        clipping_note=clipping_note(history),
        rejections=_reasons({number: p.rejections for number, p in wording.rounds(history)}),
        filtered=_reasons({number: p.filtered for number, p in wording.rounds(history)}),
        readings=[_reading(e) for e in trajectories.choose((e for r in records for e in r.examples), TRAJECTORIES)],
        settings=_settings(history.config),
        per_round=[f">{number}" for number, _ in wording.rounds(history)],
        per_record=[">Base" if record.iteration == 0 else f">Iteration {record.iteration}" for record in records],
        measured=[
            (wording.name_of(history, number), executor, dict(wording.rounds(history)).get(number))
            for number, executor in wording.scored(history).items()
        ],
        stages=list(dict.fromkeys(stage for record in records for stage in record.stage_seconds)),
        seconds=history.finished_at - history.started_at,
    )


def _figures(history: History) -> dict[str, str | None]:
    return {
        "levels": figures.levels_figure(history),
        "difficulty": figures.difficulty_figure(history),
        "tools": figures.tools_figure(history),
        "consistency": figures.consistency_figure(history),
        "yield": figures.yield_figure(history),
        "labels": figures.labels_figure(history),
        "diversity": figures.diversity_figure(history),
        "training": training_figure(history),
    }


def _tiles(history: History) -> list[Tile]:
    records, rounds = wording.ordered_iterations(history), wording.rounds(history)
    base, final = records[0].executor, records[-1].executor
    tiles = [
        Tile(
            "Tool calls per question",
            _course([f"{base.tool_calls:.2f}", f"{final.tool_calls:.2f}"], len(records)),
            "held-out",
        ),
    ]
    if rounds:
        first, last = rounds[0][1], rounds[-1][1]
        passes = [percent(p.first_executor_pass_rate) for p in (first, last)]
        labels = [percent(p.label_accuracy) for p in (first, last)]
        kept, generated = sum(p.kept for _, p in rounds), sum(p.generated for _, p in rounds)
        tiles += [
            Tile("Proposals solved", _course(passes, len(rounds)), "by the first executor"),
            Tile("Pseudo-label accuracy", _course(labels, len(rounds)), "against the known truth"),
            Tile("Tasks kept", str(kept), f"of {generated} proposals"),
        ]
    return [
        *tiles,
        Tile("Wall time", duration(history.finished_at - history.started_at), f"seed {history.seed}"),
    ]


def _course(values: list[str], count: int) -> str:
    return values[0] if count == 1 else " → ".join(values)


def _reasons(counts: Mapping[int, Mapping[str, int]]) -> list[tuple[str, list[int]]]:
    """A row per reason with its count in each iteration, the most frequent reason first."""
    names = {name for reasons in counts.values() for name in reasons}
    rows = [(name, [reasons.get(name, 0) for reasons in counts.values()]) for name in names]
    return sorted(rows, key=lambda row: (-sum(row[1]), row[0]))


def _reading(example: Example) -> Reading:
    return Reading(
        example=example,
        mark=trajectories.mark(example),
        question=_line(example.question, QUESTION_CHARACTERS),
        answer="no answer" if example.answer is None else _line(example.answer, ANSWER_CHARACTERS),
        label="none" if example.pseudo_label is None else _line(example.pseudo_label, ANSWER_CHARACTERS),
        truth="unknown" if example.known_answer is None else _line(example.known_answer, ANSWER_CHARACTERS),
        segments=trajectories.segments(trajectories.readable(example.text)),
    )


def _line(text: str, limit: int) -> str:
    line = " ".join(text.split())
    return trajectories.readable(line if len(line) <= limit else line[: limit - 1] + "…")


def _settings(config: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Sections of the configuration with dotted names and JSON values; bare settings come first."""
    general = flatten({name: value for name, value in config.items() if not isinstance(value, Mapping)})
    sections = {name: flatten(value) for name, value in config.items() if isinstance(value, Mapping)}
    return [(name, list(rows.items())) for name, rows in {"evolution": general, **sections}.items() if rows]
