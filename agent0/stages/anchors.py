"""Human anchors: given examples that the executor is trained on beside the tasks that the agents made.

Their answers come from a person, so they count as labels that nobody doubts. No test question may be among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agent0.config import AnchorSettings, EvaluationSettings
from agent0.errors import UsageError, warn
from agent0.evaluation.contamination import ContaminationIndex
from agent0.seeds import sampled
from agent0.stages.contamination_check import test_questions
from agent0.stages.stage_files import ANCHORS_FOLDER
from agent0.storage.shards import write_shards
from agent0.storage.uri_files import read_file
from agent0.types import KnownTask, LabelledTask, Task, Vote, read_records


def read_anchors(anchors: AnchorSettings, evaluation: EvaluationSettings) -> list[KnownTask]:
    """Return the given examples; none where no file is named.

    Raises:
        UsageError: the file is empty, or one of them is a test question, sign for sign or nearly so.
        Agent0Error: there is no file, or a line is no example.
    """
    if not anchors.file:
        return []
    with read_file(anchors.file) as path:
        given = read_records(path, KnownTask)
    if not given:
        raise UsageError(
            f"The file of anchors {anchors.file} is empty (executor.anchors.file); name one with examples."
        )
    index = ContaminationIndex(test_questions(evaluation))
    if not index.benchmarks:
        warn(f"no test questions are at hand to compare the anchors in {anchors.file} with (AGENT0_BENCHMARKS)")
    found = [(number, index.find(str(number), task.question)) for number, task in enumerate(given, start=1)]
    tests = [(number, match) for number, match in found if match is not None and match.kind != "overlap"]
    if tests:
        number, match = tests[0]
        raise UsageError(
            f"{len(tests)} of {len(given)} anchors in {anchors.file} are test questions: line {number} is "
            f"{match.item_id} of {match.benchmark}, {match.question!r:.100}. Remove them, since a score on what was "
            "trained on says nothing."
        )
    return given


def keep_anchors(
    given: Sequence[KnownTask], share: float, kept: int, iteration: int, seed: int, output: Path
) -> dict[str, float]:
    """Write so many of the given examples that they are `share` of what is trained on, and return the metric.

    Args:
        given: all of them.
        share: of the kept tasks and the anchors together.
        kept: tasks beside which they stand.
        iteration: that trains on them.
        seed: says which are taken, others in each iteration.
        output: folder of the stage.
    """
    if not given:
        return {}
    chosen = sampled(given, max(1, round(kept * share / (1 - share))), seed)
    write_shards(
        output / ANCHORS_FOLDER, (_anchor(number, task, iteration) for number, task in enumerate(chosen)), LabelledTask
    )
    return {"tasks/anchors": float(len(chosen))}


def _anchor(number: int, given: KnownTask, iteration: int) -> LabelledTask:
    return LabelledTask(
        task=Task(id=f"anchor-{number:05d}", iteration=iteration, question=given.question),
        vote=Vote(answer=given.answer, count=1, k=1, clusters=1),
        answers=(),
        tool_calls=0.0,
        truncated=0.0,
        known_answer=given.answer,
    )
