"""The part of task filtering that compares tasks with test questions before anything trains on them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from agent0.benchmarks.catalogue import generated_items
from agent0.benchmarks.loading import HUB, ROOT_VARIABLE, default_source
from agent0.benchmarks.spec import Item
from agent0.config import EvaluationSettings, FilteringSettings
from agent0.errors import Agent0Error, UsageError
from agent0.evaluation.contamination import ContaminationIndex, Match, published_items
from agent0.storage.atomic_file import atomic_write
from agent0.types import LabelledTask

CONTAMINATION_FILE = "contamination.jsonl"
_SHOWN = 200


@dataclass(frozen=True)
class Contamination:
    """What was found; `test_questions` is 0 where nothing was checked, because it is off or no test is at hand."""

    matches: tuple[Match, ...]
    tasks: int
    test_questions: int

    def to_drop(self, filtering: FilteringSettings) -> frozenset[str]:
        """Return the ids of the tasks that must not be trained on: test questions themselves, or all that match."""
        everything = filtering.contamination == "drop"
        return frozenset(match.task_id for match in self.matches if everything or match.kind == "exact")

    def metrics(self) -> dict[str, float]:
        """Numbers for the tracker."""
        kinds = Counter(match.kind for match in self.matches)
        counts = {f"tasks/contamination_{kind}": float(kinds[kind]) for kind in ("exact", "near", "overlap")}
        questions = {"tasks/contamination_test_questions": float(self.test_questions)}
        return {**questions, **counts} if self.test_questions else questions


def check_contamination(
    tasks: Iterable[LabelledTask], output: Path, filtering: FilteringSettings, evaluation: EvaluationSettings
) -> Contamination:
    """Compare tasks with test questions; write each match to `output`.

    Those are the questions of the generated benchmarks that the run is evaluated on, and of all in the folder that
    AGENT0_BENCHMARKS names. The hub is never asked: without either nothing is checked, which `off` and `warn` allow.

    Raises:
        UsageError: `filtering.contamination` asks for more than a warning, and there is nothing to compare with.
        Agent0Error: there is a match and `filtering.contamination` is `refuse`.
        BenchmarkError: the folder holds no benchmark, or one that cannot be read.
    """
    if filtering.contamination == "off":
        return Contamination((), 0, 0)
    index = ContaminationIndex(test_questions(evaluation))
    if not index.benchmarks and filtering.contamination in ("drop", "refuse"):
        raise UsageError(
            f"filtering.contamination={filtering.contamination} needs test questions to compare with, and "
            f"{ROOT_VARIABLE} names no folder of them; set it (`agent0 benchmarks fetch --to PLACE` fills one), or "
            "settle for warn or off."
        )
    if not index.benchmarks:
        return Contamination((), 0, 0)
    checked = 0
    matches = []
    for task in tasks:
        checked += 1
        match = index.find(task.task.id, task.task.question)
        if match is not None and match.coverage >= filtering.contamination_coverage:
            matches.append(match)
    with atomic_write(output / CONTAMINATION_FILE) as file:
        file.writelines(json.dumps(asdict(match), ensure_ascii=False) + "\n" for match in matches)
    found = Contamination(tuple(matches), checked, index.benchmarks.total())
    if matches and filtering.contamination == "refuse":
        raise Agent0Error(
            f"{_told(found)} Read {output / CONTAMINATION_FILE}, and drop them (filtering.contamination=drop), raise "
            "filtering.contamination_coverage if the overlap is boilerplate, or train on them knowingly (warn)."
        )
    return found


def contamination_warnings(found: Contamination, filtering: FilteringSettings) -> tuple[str, ...]:
    """Return what a person should know of tasks that are trained on; empty where none matches or they are dropped."""
    dropped = found.to_drop(filtering)
    kept = tuple(match for match in found.matches if match.task_id not in dropped)
    return (f"{_told(replace(found, matches=kept))} All are in {CONTAMINATION_FILE}.",) if kept else ()


def test_questions(evaluation: EvaluationSettings) -> Iterator[tuple[str, Item]]:
    """Yield the questions of the generated benchmarks that are asked, and of all in the folder AGENT0_BENCHMARKS."""
    yield from generated_items(evaluation.benchmarks, evaluation.questions_per_level)
    source = default_source()
    if source != HUB:
        yield from published_items(source)


def _told(found: Contamination) -> str:
    worst = max(found.matches, key=lambda match: match.coverage)
    return (
        f"{len(found.matches)} of {found.tasks} kept tasks share words with test questions; the closest, "
        f"{worst.task_id} and {worst.item_id} of {worst.benchmark}, share {worst.shared[:_SHOWN]!r} "
        f"({worst.coverage:.0%} of the test question)."
    )
