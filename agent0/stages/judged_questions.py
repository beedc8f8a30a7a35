"""What the question judge said of an iteration's questions, and whether its verdicts may keep any out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agent0.config import FilteringSettings
from agent0.evaluation.question_judge import agreement
from agent0.types import LabelledTask


@dataclass(frozen=True)
class JudgedQuestions:
    """Verdicts on the tasks, counted, and how good they are.

    Attributes:
        verdicts: tasks with a verdict, of those that are no probes.
        ill: those of them that are called ill posed.
        silent: tasks without a verdict.
        agreement: how often the judge is right about the probes; None where none tell.
        least: of it for the gate to act; None where it is not in use.
    """

    verdicts: int
    ill: int
    silent: int
    agreement: float | None
    least: float | None

    @property
    def is_trusted(self) -> bool:
        """Whether the gate may act on the verdicts."""
        return self.least is not None and self.agreement is not None and self.agreement >= self.least

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence where the gate is in use and may not act."""
        if self.least is None or self.is_trusted:
            return ()
        said = "gave no verdict on them" if self.agreement is None else f"was right about {self.agreement:.0%} of them"
        return (
            f"No task was refused as ill posed: of the probes, whose answers are known, the judge {said}, and "
            f"filtering.min_judge_agreement is {self.least:g}. Ask another judge (execution.question_judge), or lower "
            "that.",
        )

    def metrics(self) -> dict[str, float]:
        """Return the numbers for the tracker, without those that are not defined."""
        counted = {"tasks/judge_silent": float(self.silent)}
        if self.verdicts:
            counted["tasks/judged_ill"] = self.ill / self.verdicts
        if self.agreement is not None:
            counted["tasks/judge_agreement"] = self.agreement
        return counted


def judge_questions(tasks: Iterable[LabelledTask], filtering: FilteringSettings) -> JudgedQuestions:
    """Count the judge's verdicts on labelled tasks, and compare those on the probes with the truth about them."""
    verdicts: list[bool | None] = []
    whole: list[bool | None] = []
    broken: list[bool | None] = []
    for task in tasks:
        if task.task.audit_answer is None:
            verdicts.append(task.well_posed)
        else:
            whole.append(task.well_posed)
            broken.append(task.spoiled_well_posed)
    said = [verdict for verdict in verdicts if verdict is not None]
    return JudgedQuestions(
        verdicts=len(said),
        ill=said.count(False),
        silent=len(verdicts) - len(said),
        agreement=agreement(whole, broken),
        least=filtering.min_judge_agreement if filtering.well_posed else None,
    )
