"""Stage: draw proposals from the trained curriculum agent and keep the valid, distinct ones."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from statistics import fmean

from agent0.config import GenerationSettings, RewardSettings, RolloutSettings, SandboxSettings
from agent0.errors import Agent0Error
from agent0.rewards import repetition_shares
from agent0.rewards.streaming import streaming_repetition_shares
from agent0.rollout.agents import Proposal, mean_tool_calls, rejection_counts
from agent0.sandbox import SandboxPool
from agent0.stages.agents import open_proposer, seed_everything
from agent0.stages.files import TASKS_FILE
from agent0.stages.session import Stage, StageResult
from agent0.types import Task, write_records
from agent0.worlds import World, get_world

EXACT_REPETITION_LIMIT = 4096  # beyond it all pairs take too long, and the streaming approximation is used


def run_task_generation(
    stage: Stage,
    *,
    curriculum_model: Path,
    output: Path,
    rollout: RolloutSettings,
    sandbox: SandboxSettings,
    generation: GenerationSettings,
) -> StageResult:
    """Write the distinct valid questions of `proposals` draws to `output`.

    Raises:
        Agent0Error: no proposal was valid.
    """
    seed_everything(stage.seed)
    with (
        SandboxPool(sandbox) as pool,
        open_proposer(curriculum_model, pool, rollout, generation.sampling, log=output) as agent,
    ):
        proposals = agent.propose(generation.proposals, stage.seed)
    rejections = rejection_counts(proposals)
    tasks, dropped = distinct_tasks(proposals, stage.iteration, get_world(rollout.world))
    if not tasks:
        raise Agent0Error(
            f"None of {len(proposals)} proposals is a valid question ({_reasons({**rejections, **dropped})}); train "
            "the curriculum agent less hard (curriculum.learning_rate, curriculum.steps) or raise generation.proposals."
        )
    write_records(output / TASKS_FILE, tasks)
    questions = [p.question for p in proposals if p.question is not None]
    measure = repetition_shares if len(questions) <= EXACT_REPETITION_LIMIT else streaming_repetition_shares
    shares = measure(questions, RewardSettings().repetition_distance)
    metrics = {
        "tasks/generated": float(len(proposals)),
        "tasks/valid": float(len(questions)),
        "tasks/distinct": len(set(questions)) / len(questions),
        "tasks/repetition": fmean(map(float, shares)),
        "curriculum/tool_calls": mean_tool_calls([p.trajectory for p in proposals]),
    }
    return StageResult(metrics, counts={"rejections": {**rejections, **dropped}})


def distinct_tasks(proposals: list[Proposal], iteration: int, world: World) -> tuple[list[Task], dict[str, int]]:
    """Return the first proposal of each valid question as a task, and counts of those dropped by reason."""
    tasks: dict[str, Task] = {}
    dropped: Counter[str] = Counter()
    for proposal in proposals:
        question = proposal.question
        if question is None:
            continue
        if world.held_out(question):
            dropped["held_out"] += 1
        elif question in tasks:
            dropped["duplicate"] += 1
        else:
            tasks[question] = Task(
                id=f"i{iteration}-{len(tasks):05d}",
                iteration=iteration,
                question=question,
                proposer_answer=proposal.trajectory.answer,
                proposer_tool_calls=len(proposal.trajectory.tool_calls),
            )
    return list(tasks.values()), dict(dropped)


def _reasons(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in counts.items())
