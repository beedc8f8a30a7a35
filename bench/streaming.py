"""Whether 100,000 tasks with 10 trajectories each stream through voting and filtering in bounded memory.

The trajectories are scripted: random tokens and log-probabilities of a realistic length, a text, a tool call, and an
answer that agrees with the others more or less often. Everything else is what the stages do: shards written as they
finish, votes, sample, summary, filter, audit. A child process does the work and is measured by the kernel. Leaves out
the model, and answers that need Math-Verify (`bench/answers.py`). Prints one table; `--check` exits with 1 when a
bar is missed.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agent0.config import CurriculumSettings, EvaluationSettings, ExecutionSettings, ExecutorSettings, FilteringSettings
from agent0.domains import get_domain
from agent0.rollout.agents import Solved
from agent0.rollout.drawing_watch import Watch
from agent0.stages import Stage
from agent0.stages.execution_collection import collect_votes
from agent0.stages.sandboxed_execution import Labelling
from agent0.stages.sharding import ALONE
from agent0.stages.stage_files import SAMPLE_FOLDER, TASKS_FOLDER
from agent0.stages.task_filtering import run_task_filtering
from agent0.storage.shards import iterate_records, shard_name, write_shard, write_shards
from agent0.types import SolvedTask, Task, ToolCall, Trajectory

TASKS, SAMPLES, TOKENS = 100_000, 10, 200
LIMIT_MIB = 2048
GROWTH_MIB = 512
TEXT = "I compute it with the tool.\n```python\nprint(20 + 3)\n```\n```output\n23\n```\nTherefore the result is " * 6
VOCABULARY = 150_000


@dataclass(frozen=True)
class Row:
    """One line of the table: what was measured, the bar, and whether it is met."""

    name: str
    measured: str
    bar: str
    met: bool


class ScriptedExecutor:
    """Stands in for the executor agent: solves a batch by drawing random trajectories."""

    def __init__(self, tokens: int) -> None:
        self._tokens = tokens

    def solve_batches(
        self,
        batches: Iterable[tuple[int, Sequence[str]]],
        samples: int,
        seed: int,
        deliver: Callable[[int, list[list[Trajectory]]], None],
        watch: Watch,
        solved: Solved,
    ) -> None:
        """Deliver each batch whole; see `agent0.rollout.agents.ExecutorAgent.solve_batches`."""
        for key, questions in batches:
            rng = random.Random(seed + key)
            numbers = np.random.default_rng(seed + key)
            groups = []
            for place in range(len(questions)):
                groups.append(self._solve(rng, numbers, samples))
                solved(key, place, groups[-1])
            deliver(key, groups)

    def _solve(self, rng: random.Random, numbers: np.random.Generator, samples: int) -> list[Trajectory]:
        truth, skill = rng.randrange(10_000), rng.random()
        prompts = tuple(numbers.integers(VOCABULARY, size=60).tolist())
        ids = numbers.integers(VOCABULARY, size=(samples, self._tokens)).tolist()
        logprobs = (-numbers.exponential(size=(samples, self._tokens))).tolist()
        mask = (1,) * (self._tokens - 10) + (0,) * 10
        solved = []
        for row in range(samples):
            value = truth if rng.random() < skill else truth + rng.randrange(1, 4)
            answer = rng.choice((f"{value}", f"{value}.0", f"\\frac{{{2 * value}}}{{2}}", f"{value:,}"))
            solved.append(
                Trajectory.model_construct(
                    prompt_ids=prompts,
                    completion_ids=tuple(ids[row]),
                    mask=mask,
                    logprobs=tuple(logprobs[row]),
                    text=f"{TEXT}\\boxed{{{answer}}}",
                    tool_calls=(ToolCall.model_construct(code="print(20 + 3)", observation="23\n", status="ok"),),
                    finish="eos",
                    answer=answer,
                )
            )
        return solved


def synthetic_tasks(count: int) -> Iterator[Task]:
    """Questions of the length of a short word problem."""
    for number in range(count):
        question = f"Problem {number}: " + "a train leaves the station at noon and travels east; " * 5
        yield Task(id=f"i1-{number:06d}", iteration=1, question=question, proposer_answer=str(number % 10_000))


def peak_mib() -> float:
    """Largest resident size so far of this process and of any one child it waited for, MiB."""
    usages = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usages) / 1024


def stream(folder: Path, tasks: int, tokens: int) -> dict[str, float]:
    """Vote and filter in this process, and return seconds and MiB."""
    stage = Stage.untracked("sandboxed_execution")
    write_shards(folder / "tasks" / TASKS_FOLDER, synthetic_tasks(tasks), Task)
    started = time.perf_counter()
    labelling = Labelling(
        tasks=list(iterate_records(Task, folder / "tasks" / TASKS_FOLDER)),
        domain=get_domain("mathematics"),
        settings=ExecutionSettings(samples=SAMPLES),
        seed=0,
        share=ALONE,
        workspace=stage.workspace(folder / "labelled"),
    )
    before = peak_mib()
    labelling.solve(ScriptedExecutor(tokens), stage)  # type: ignore[arg-type]
    voted, after = time.perf_counter(), peak_mib()
    labelling.deliver(folder / "labelled" / TASKS_FOLDER, folder / "trajectories")
    write_shard(folder / "labelled" / SAMPLE_FOLDER / shard_name(0), labelling.sample(64), SolvedTask)
    summary = collect_votes(stage, folder / "labelled")
    summed = time.perf_counter()
    filtered = run_task_filtering(
        Stage.untracked("task_filtering"),
        labelled=folder / "labelled",
        history=folder / "history",
        output=folder / "kept",
        curriculum=CurriculumSettings(),
        execution=ExecutionSettings(),
        executor=ExecutorSettings(),
        filtering=FilteringSettings(),
        evaluation=EvaluationSettings(),
    )
    disk = sum(path.stat().st_size for path in (folder / "trajectories").iterdir())
    return {
        "vote": voted - started,
        "summarise": summed - voted,
        "filter": time.perf_counter() - summed,
        "before": before,
        "after_vote": after,
        "peak": peak_mib(),
        "kept": filtered.metrics["tasks/kept"],
        "agreement": summary.metrics["curriculum/agreement"],
        "disk": disk / 2**20,
    }


def measured_in_a_child(tasks: int, tokens: int) -> dict[str, float]:
    """Run `stream` in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="agent0-streaming-") as folder:
        command = [sys.executable, __file__, "--child", folder, "--tasks", str(tasks), "--tokens", str(tokens)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    numbers: dict[str, float] = json.loads(done.stdout)
    return numbers


def table(tasks: int, tokens: int) -> list[Row]:
    """Measure and judge."""
    got = measured_in_a_child(tasks, tokens)
    seconds = got["vote"] + got["summarise"] + got["filter"]
    growth = got["after_vote"] - got["before"]
    return [
        Row(f"{tasks} tasks x {SAMPLES} x {tokens} tokens", f"{seconds:.0f} s", "", True),
        Row("tasks/s, voting and writing", f"{tasks / got['vote']:.0f}", "", True),
        Row("tasks/s, sample and summary", f"{tasks / got['summarise']:.0f}", "", True),
        Row("tasks/s, filtering and audit", f"{tasks / got['filter']:.0f}", "", True),
        Row("trajectories on disk", f"{got['disk']:.0f} MiB", "", True),
        Row("tasks kept", f"{got['kept']:.0f}", "", True),
        Row("memory, all tasks read", f"{got['before']:.0f} MiB", "", True),
        Row("memory added by voting", f"{growth:.0f} MiB", f"<= {GROWTH_MIB}", growth <= GROWTH_MIB),
        Row("memory, peak of the process", f"{got['peak']:.0f} MiB", f"<= {LIMIT_MIB}", got["peak"] <= LIMIT_MIB),
    ]


def main() -> None:
    """Measure, print, and judge where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar is missed")
    parser.add_argument("--tasks", type=int, default=TASKS, help="tasks, with ten trajectories each")
    parser.add_argument("--tokens", type=int, default=TOKENS, help="tokens of a trajectory")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(stream(options.child, options.tasks, options.tokens)))
        return
    rows = table(options.tasks, options.tokens)
    for row in rows:
        print(f"{row.name:44}{row.measured:>22}  {row.bar:10}{'' if not row.bar else 'met' if row.met else 'MISSED'}")
    if options.check and not all(row.met for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
