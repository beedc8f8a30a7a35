"""The ablation as a table: the same rows for a terminal, as Markdown and as JSON, and what they say in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from ablation_runs import Run
from ablation_variants import Variant
from rich import box
from rich.table import Table

from agent0.ablations import FULL
from agent0.report.ablation_effects import Effect, effects, shown, shown_p

HEADINGS = ("variant", "ended", "final", "gain", "minus full", "p, Holm", "labels", "kept", "updates", "samples", "min")
NONE = "–"


@dataclass(frozen=True)
class Row:
    """A variant: means over the seeds that ended, None where nothing is known; differences are to the full method.

    Attributes:
        variant: its name.
        about: what differs from the full method.
        paper: the paper's row for it.
        planned: runs that were asked for.
        finals: accuracy of the last executor, by seed.
        gains: that accuracy minus the first model's, for each seed that ended.
        effect: the comparison with the full method; None for the full method, and where no run ended.
        label_accuracy: share of right labels in the band, of the last round.
        kept: tasks trained on in the last round.
        updates: of the executor.
        samples: trajectories drawn, without those of evaluations.
        minutes: of a run, with all else that the machine did.
    """

    variant: str
    about: str
    paper: str
    planned: int
    finals: dict[int, float]
    gains: tuple[float, ...]
    effect: Effect | None
    label_accuracy: float | None
    kept: float | None
    updates: float | None
    samples: float | None
    minutes: float | None

    def cells(self) -> list[str]:
        """The row as texts, in the order of `HEADINGS`."""
        effect = self.effect
        return [
            self.variant,
            f"{len(self.finals)}/{self.planned}",
            _number(_mean(self.finals.values()), 3),
            shown(self.gains),
            shown(effect.differences) if effect else "",
            "" if effect is None else NONE if effect.adjusted is None else shown_p(effect.adjusted).removeprefix("= "),
            _number(self.label_accuracy, 2),
            _number(self.kept),
            _number(self.updates),
            _number(self.samples),
            _number(self.minutes, 1),
        ]


def rows(runs: Sequence[Run], variants: Mapping[str, Variant], planned: int) -> list[Row]:
    """Return a row for each variant, in their order."""
    found = effects({(run.variant, run.seed): run.record.final for run in runs if run.record})
    made = []
    for name, variant in variants.items():
        ended = {run.seed: run.record for run in runs if run.variant == name and run.record}
        records = ended.values()
        made.append(
            Row(
                variant=name,
                about=variant.about,
                paper=variant.paper,
                planned=planned,
                finals={seed: record.final for seed, record in ended.items()},
                gains=tuple(record.gain for record in records),
                effect=found.get(name),
                label_accuracy=_mean(record.label_accuracy for record in records),
                kept=_mean(record.kept for record in records),
                updates=_mean(record.updates for record in records),
                samples=_mean(record.samples for record in records),
                minutes=_mean(record.minutes for record in records),
            )
        )
    return made


def sentences(found: Sequence[Row]) -> Iterator[str]:
    """Say what each difference amounts to, what is not decided, and at which budget."""
    compared = [row.effect for row in found if row.effect]
    yield from (effect.conclusion for effect in compared)
    open_ = [effect.variant for effect in compared if not effect.decided]
    if open_:
        yield f"Not decided, {len(open_)} of {len(compared)}: {', '.join(open_)}."
    full = next(row for row in found if row.variant == FULL)
    if full.updates is not None and full.samples is not None:
        other = [row for row in found if row.updates is not None and row.updates != full.updates]
        named = ", ".join(f"{row.variant} makes {row.updates:.0f}" for row in other) or "so does every other variant"
        yield (
            f"Budget: the full method makes {full.updates:.0f} updates of the executor and draws {full.samples:.0f} "
            f"trajectories; updates: {named}. Trajectories differ by the questions that are valid, and where no "
            "curriculum agent is trained."
        )


def terminal(found: Sequence[Row], title: str) -> Table:
    """Return the table for a terminal."""
    table = Table(title=f"{title}, means over seeds ± 95 %", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading == "variant" else "right", no_wrap=True)
    for row in found:
        table.add_row(*row.cells())
    return table


def markdown(found: Sequence[Row], title: str, said: Sequence[str]) -> str:
    """Return the table and the sentences as Markdown."""
    lines = [f"# Ablation: {title}", "", _line([*HEADINGS, "what differs", "paper"])]
    lines.append(_line(["---", *["---:"] * (len(HEADINGS) - 1), "---", "---"]))
    lines += [_line([*row.cells(), row.about, row.paper]) for row in found]
    return "\n".join([*lines, "", *(f"- {sentence}" for sentence in said), ""])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _number(value: float | None, digits: int = 0) -> str:
    return NONE if value is None else f"{value:.{digits}f}"
