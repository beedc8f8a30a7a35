"""Tasks that are kept for the answers which their vote refuses, since no label of theirs is trusted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from agent0.answers import Grader
from agent0.answers.refusal import refused, tenable
from agent0.stages.stage_files import NEGATIVES_FOLDER
from agent0.storage.shards import write_shards
from agent0.types import LabelledTask


def keep_negatives(untrusted: Iterable[LabelledTask], support: float, grader: Grader, output: Path) -> dict[str, float]:
    """Write the tasks of which some answers are refused to `output`, and return how many there are, as metrics.

    Where truth is known, so is how often a refused answer was right: what trusting refusals costs.

    Args:
        untrusted: tasks without a trusted label, with votes on their answers.
        support: share of a task's samples up to which an answer is refused.
        grader: compares answers.
        output: folder of the stage.
    """
    kept = right = known = 0

    def negatives() -> Iterator[LabelledTask]:
        nonlocal kept, right, known
        for task in untrusted:
            held = tenable(task.answers, support, grader)
            verdicts = refused([(answer, held) for answer in task.answers], grader)
            against = [answer for answer, bad in zip(task.answers, verdicts, strict=True) if bad]
            if not against:
                continue
            kept += 1
            if task.known_answer is not None:
                known += len(against)
                pairs = [(task.known_answer, answer) for answer in against]
                right += sum(verdict.correct for verdict in grader.equivalent_many(pairs))
            yield task.model_copy(update={"tenable": held})

    write_shards(output / NEGATIVES_FOLDER, negatives(), LabelledTask)
    return {"tasks/negative": float(kept), **({"tasks/refused_right": right / known} if known else {})}
