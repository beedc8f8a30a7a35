"""The part of task filtering that compares tasks with test questions before anything trains on them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from agent0.config import FilteringSettings
from agent0.errors import Agent0Error, UsageError
from agent0.evaluation.contamination import Match, index_of
from agent0.evaluation.loading import HUB, ROOT_VARIABLE, default_source
from agent0.storage.atomic import atomic_write
from agent0.types import LabelledTask

CONTAMINATION_FILE = "contamination.jsonl"
_SHOWN = 200


@dataclass(frozen=True)
class Contamination:
    """What was found; `test_questions` is 0 where nothing was checked, because it is off or no test is at hand."""

    matches: tuple[Match, ...]
    tasks: int
    test_questions: int

    @property
    def task_ids(self) -> frozenset[str]:
        """Ids of the tasks that match."""
        return frozenset(match.task_id for match in self.matches)

    def metrics(self) -> dict[str, float]:
        """Numbers for the tracker."""
        kinds = Counter(match.kind for match in self.matches)
        counts = {f"tasks/contamination_{kind}": float(kinds[kind]) for kind in ("exact", "near", "overlap")}
        questions = {"tasks/contamination_test_questions": float(self.test_questions)}
        return {**questions, **counts} if self.test_questions else questions


def check_contamination(tasks: Iterable[LabelledTask], output: Path, filtering: FilteringSettings) -> Contamination:
    """Compare tasks with the benchmarks in the folder that AGENT0_BENCHMARKS names; write each match to `output`.

    The hub is never asked: without that folder nothing is checked, which only `off` and `warn` allow.

    Raises:
        UsageError: `filtering.contamination` asks for more than a warning, and there is no folder to compare with.
        Agent0Error: there is a match and `filtering.contamination` is `refuse`.
        BenchmarkError: the folder holds no benchmark, or one that cannot be read.
    """
    source = default_source()
    if source == HUB and filtering.contamination in ("drop", "refuse"):
        raise UsageError(
            f"filtering.contamination={filtering.contamination} needs test questions to compare with, and "
            f"{ROOT_VARIABLE} names no folder of them; set it (`agent0 benchmarks fetch --to PLACE` fills one), or "
            "settle for warn or off."
        )
    if filtering.contamination == "off" or source == HUB:
        return Contamination((), 0, 0)
    index = index_of(source)
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
    if not found.matches or filtering.contamination != "warn":
        return ()
    return (f"{_told(found)} All are in {CONTAMINATION_FILE}.",)


def _told(found: Contamination) -> str:
    worst = max(found.matches, key=lambda match: match.coverage)
    return (
        f"{len(found.matches)} of {found.tasks} kept tasks share words with test questions; the closest, "
        f"{worst.task_id} and {worst.item_id} of {worst.benchmark}, share {worst.shared[:_SHOWN]!r} "
        f"({worst.coverage:.0%} of the test question)."
    )
