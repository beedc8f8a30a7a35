"""Stage: the executor solves every task k times with its tool; the answers are put to the vote.

A sample of the tasks is also given to the first executor, so that difficulty is measured against a fixed solver.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean

from agent0.answers import Verdict, equivalent_many, majority_vote
from agent0.config import ExecutionSettings, RolloutSettings, SandboxSettings, TrackingSettings
from agent0.rollout.agents import ExecutorAgent, mean_tool_calls, truncated_share
from agent0.sandbox import SandboxPool
from agent0.seeds import derive_seed
from agent0.stages.agents import open_executor, seed_everything
from agent0.stages.files import TASKS_FILE, TRAJECTORIES_FILE
from agent0.stages.session import Stage, StageResult
from agent0.types import KnownTask, LabelledTask, SolvedTask, Task, Trajectory, read_records, write_records
from agent0.worlds import World, get_world


def run_sandboxed_execution(
    stage: Stage,
    *,
    executor_model: Path,
    first_executor_model: Path,
    tasks: Path,
    output: Path,
    rollout: RolloutSettings,
    sandbox: SandboxSettings,
    execution: ExecutionSettings,
    tracking: TrackingSettings,
) -> StageResult:
    """Write each task with its vote, and all trajectories, to `output`."""
    seed_everything(stage.seed)
    proposed = [*read_records(tasks / TASKS_FILE, Task), *_known_tasks(execution.known_tasks, stage.iteration)]
    questions = [task.question for task in proposed]
    drawn = random.Random(stage.seed).sample(proposed, min(execution.probe_tasks, len(proposed)))
    probed = {task.id for task in drawn}
    total = len(questions) * execution.samples
    with SandboxPool(sandbox) as pool:
        with open_executor(executor_model, pool, rollout, execution.sampling, log=output) as executor:
            solved = executor.solve(
                questions, execution.samples, stage.seed, lambda done: stage.progress.step(done, total, "trajectories")
            )
        labelled = _label(proposed, solved, get_world(rollout.world))
        with open_executor(first_executor_model, pool, rollout, execution.sampling, log=output) as first:
            rates = _probe(first, [t for t in labelled if t.task.id in probed], execution.probe_samples, stage.seed)
        agreement = _agreement(labelled)
    labelled = [task.model_copy(update={"first_executor_pass_rate": rates.get(task.task.id)}) for task in labelled]
    write_records(output / TASKS_FILE, labelled)
    trajectories = [
        SolvedTask(task_id=task.task.id, trajectory=trajectory)
        for task, group in zip(labelled, solved, strict=True)
        for trajectory in group
    ]
    write_records(output / TRAJECTORIES_FILE, trajectories)
    stage.tracker.log_table(_rows(labelled, solved, tracking.trajectories, stage.seed), "trajectories.json")
    flat = [trajectory for group in solved for trajectory in group]
    metrics = {
        "tasks/self_consistency": fmean(task.vote.self_consistency for task in labelled),
        "tasks/tool_calls": mean_tool_calls(flat),
        "tasks/truncated": truncated_share(flat),
        "tasks/probed": float(len(rates)),
    }
    if rates:
        metrics["tasks/first_executor_pass_rate"] = fmean(rates.values())
    if agreement is not None:
        metrics["curriculum/agreement"] = agreement
    return StageResult(metrics, counts={"self_consistency": _histogram(labelled)})


def _known_tasks(path: str, iteration: int) -> list[Task]:
    """Read the tasks that audit the vote, if a file is configured."""
    if not path:
        return []
    known = read_records(Path(path), KnownTask)
    return [
        Task(id=f"audit-{number:05d}", iteration=iteration, question=task.question, audit_answer=task.answer)
        for number, task in enumerate(known)
    ]


def _label(tasks: list[Task], solved: list[list[Trajectory]], world: World) -> list[LabelledTask]:
    labelled = []
    for task, trajectories in zip(tasks, solved, strict=True):
        answers = tuple(trajectory.answer for trajectory in trajectories)
        labelled.append(
            LabelledTask(
                task=task,
                vote=majority_vote(answers),
                answers=answers,
                tool_calls=mean_tool_calls(trajectories),
                truncated=truncated_share(trajectories),
                known_answer=task.audit_answer or world.known_answer(task.question),
            )
        )
    return labelled


def _probe(executor: ExecutorAgent, tasks: list[LabelledTask], samples: int, seed: int) -> Mapping[str, float]:
    """Return the executor's pass rate on each task, by the known answer where there is one, else the vote's."""
    judged = [(task, task.known_answer or task.vote.answer) for task in tasks]
    solved = executor.solve([task.task.question for task, _ in judged], samples, derive_seed(seed, "probe"))
    return {
        task.task.id: fmean(
            verdict is Verdict.TRUE for verdict in equivalent_many([(truth, t.answer) for t in trajectories])
        )
        for (task, truth), trajectories in zip(judged, solved, strict=True)
        if truth is not None
    }


def _agreement(labelled: list[LabelledTask]) -> float | None:
    """Return how often the proposer's own answer is the vote's, or None if it gave no answers."""
    pairs = [(t.vote.answer, t.task.proposer_answer) for t in labelled if t.vote.answer and t.task.proposer_answer]
    verdicts = equivalent_many(pairs)
    return fmean(verdict is Verdict.TRUE for verdict in verdicts) if verdicts else None


def _histogram(labelled: list[LabelledTask]) -> dict[str, int]:
    """Count tasks by self-consistency; every possible value of count / k has its place."""
    k = labelled[0].vote.k
    counts = {f"{count / k:.3g}": 0 for count in range(k + 1)}
    for task in labelled:
        counts[f"{task.vote.self_consistency:.3g}"] += 1
    return counts


def _rows(
    labelled: list[LabelledTask], solved: list[list[Trajectory]], count: int, seed: int
) -> list[dict[str, object]]:
    """Return a sample of trajectories as rows of a table."""
    pairs = [(task, t) for task, group in zip(labelled, solved, strict=True) for t in group]
    return [
        {
            "task": task.task.id,
            "question": task.task.question,
            "answer": trajectory.answer or "",
            "pseudo_label": task.vote.answer or "",
            "self_consistency": task.vote.self_consistency,
            "known_answer": task.known_answer or "",
            "tool_calls": len(trajectory.tool_calls),
            "finish": trajectory.finish,
            "text": trajectory.text,
        }
        for task, trajectory in random.Random(seed).sample(pairs, min(count, len(pairs)))
    ]
