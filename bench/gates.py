"""What do the gates of task filtering cost beside the execution whose labels they judge?

    python bench/gates.py [--tasks 96] [--check]

The embedded model solves questions of its domain ten times each; then the evidence for each label is gathered, and each
gate decides on all of them by itself, with three times as many earlier questions. With --check it exits with 1 where
one takes more than a fifth of the time that the solving took.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.table import Table

from agent0.answers import default_grader, majority_vote
from agent0.answers.derivations import evidence
from agent0.config import FilteringSettings, load_config
from agent0.domains.arithmetic import draw
from agent0.sandbox import open_sandbox
from agent0.stages.filter_gates import apply_gates
from agent0.stages.open_agents import open_executor
from agent0.tiny.pretrain import ensure_base_model
from agent0.types import LabelledTask, Task, Trajectory

T = TypeVar("T")
BAR = 0.2
GATES: dict[str, dict[str, object]] = {
    "truth": {"truth": "refuse"},
    "min_derivations": {"min_derivations": 2},
    "min_grounded": {"min_grounded": 0.5},
    "min_novelty": {"min_novelty": 0.3},
    "max_per_cluster": {"max_per_cluster": 4},
}


def main() -> int:
    """Solve, gate, print, and judge if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=96, help="questions to solve")
    parser.add_argument("--check", action="store_true", help="exit with 1 when the bar is missed")
    arguments = parser.parse_args()
    rng = random.Random(0)
    asked, earlier = ([draw(rng) for _ in range(count)] for count in (arguments.tasks, 3 * arguments.tasks))
    questions = [task.question for task in asked]
    solved, drawing = solve(questions)
    grader = default_grader()
    votes = [majority_vote([trajectory.answer for trajectory in group]) for group in solved]
    found, gathering = timed(
        lambda: [evidence(*case, grader) for case in zip(questions, solved, votes, strict=True)],
    )
    labelled = [
        LabelledTask(
            task=Task(id=str(number), iteration=1, question=task.question),
            vote=votes[number],
            answers=tuple(trajectory.answer for trajectory in solved[number]),
            tool_calls=1.0,
            truncated=0.0,
            derivations=found[number].derivations,
            grounded=found[number].grounded,
            known_answer=task.answer,
        )
        for number, task in enumerate(asked)
        if votes[number].answer is not None
    ]
    past = [task.question for task in earlier]
    taken = {"evidence for all labels": gathering}
    for name, settings in GATES.items():
        filtering = FilteringSettings.model_validate(settings)
        gates, seconds = timed(lambda filtering=filtering: apply_gates(labelled, filtering, past, grader, 0.5))
        taken[f"{name}, leaves {gates.band - len(gates.reasons)} of {gates.band}"] = seconds
    Console().print(table(taken, drawing))
    passed = all(seconds <= BAR * drawing for seconds in taken.values())
    Console().print(f"bar (each at most {BAR:.0%} of the solving): " + ("met" if passed else "missed"))
    return int(arguments.check and not passed)


def solve(questions: list[str]) -> tuple[list[list[Trajectory]], float]:
    """Return the embedded model's trajectories on the questions, and the seconds that they took."""
    config = load_config("tiny")
    model = ensure_base_model(config.model.tiny, lambda step, loss: None)
    with (
        tempfile.TemporaryDirectory() as log,
        open_sandbox(config.sandbox) as pool,
        open_executor(model, pool, config.rollout, config.execution.sampling, log=Path(log), seed=0) as executor,
    ):
        return timed(lambda: executor.solve(questions, config.execution.samples, 0))


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """Return what `work` returns, and its seconds."""
    began = time.perf_counter()
    return work(), time.perf_counter() - began


def table(taken: dict[str, float], drawing: float) -> Table:
    """A row for each part, with its time as a share of the solving's."""
    made = Table(title=f"Beside {drawing:.1f} s of solving", title_justify="left")
    for column in ("part", "ms", "share"):
        made.add_column(column, justify="left" if column == "part" else "right")
    for name, seconds in taken.items():
        made.add_row(name, f"{1000 * seconds:.1f}", f"{seconds / drawing:.2%}")
    return made


if __name__ == "__main__":
    sys.exit(main())
