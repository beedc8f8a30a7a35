"""Stage: make tasks of all proposals: the distinct valid questions, wherever they were drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from agent0.config import CurriculumSettings, RolloutSettings
from agent0.domains import Domain, get_domain
from agent0.errors import Agent0Error
from agent0.rewards import repetition_shares
from agent0.rollout.agents import nothing_valid
from agent0.seeds import sampled
from agent0.stages.mlflow_evidence import log_tasks
from agent0.stages.session import Stage, StageResult, read_report, slowest_part
from agent0.stages.stage_files import PROPOSALS_FOLDER, TASKS_FOLDER
from agent0.storage.shards import iterate_records, write_shards
from agent0.types import ProposalOutcome, Task

TEACHER_METRICS = "tasks/teacher_"
"""Prefix of what a teacher's proposals cost."""
REPETITION_SAMPLE = 4096  # questions of which all pairs are compared


@dataclass
class ProposalPool:
    """All proposals so far: the tasks, every valid question, and why the others are none."""

    tasks: dict[str, Task] = field(default_factory=dict)
    questions: list[str] = field(default_factory=list)
    rejections: Counter[str] = field(default_factory=Counter)
    proposals: int = 0
    tool_calls: int = 0


def run_task_collection(
    stage: Stage, *, parts: Sequence[Path], output: Path, rollout: RolloutSettings, curriculum: CurriculumSettings
) -> StageResult:
    """Write the tasks of all pods' proposals to `output`, and what they cost together; see `collect_tasks`."""
    result = collect_tasks(stage, parts, output, rollout, curriculum)
    paid: Counter[str] = Counter()
    for part in parts:
        metrics = read_report(part).metrics
        paid.update({name: value for name, value in metrics.items() if name.startswith(TEACHER_METRICS)})
    return StageResult({**result.metrics, **paid}, result.counts, collected_seconds=slowest_part(parts))


def collect_tasks(
    stage: Stage, parts: Sequence[Path], output: Path, rollout: RolloutSettings, curriculum: CurriculumSettings
) -> StageResult:
    """Write the first proposal of each valid question as a task.

    Repetition is measured as `curriculum` rewards it, on a sample of the valid questions where they are many.

    Raises:
        Agent0Error: no proposal was valid, or a shard is missing.
    """
    outcomes = iterate_records(ProposalOutcome, *(part / PROPOSALS_FOLDER for part in parts))
    pool = pool_proposals(outcomes, stage.iteration, get_domain(rollout.domain))
    counts = dict(pool.rejections.most_common())
    if not pool.tasks:
        raise Agent0Error(nothing_valid(pool.rejections))
    write_shards(output / TASKS_FOLDER, pool.tasks.values(), Task)
    log_tasks(stage, "tasks-generated", output / TASKS_FOLDER, len(pool.tasks))
    sample = sampled(pool.questions, REPETITION_SAMPLE, stage.iteration)
    shares = repetition_shares(sample, curriculum.reward.repetition_distance)
    metrics = {
        "tasks/generated": float(pool.proposals),
        "tasks/valid": float(len(pool.questions)),
        "tasks/distinct": len(set(pool.questions)) / len(pool.questions),
        "tasks/repetition": fmean(map(float, shares)),
        "tasks/repetition_questions": float(len(sample)),
        "curriculum/tool_calls": pool.tool_calls / pool.proposals,
    }
    return StageResult(metrics, counts={"rejections": counts})


def pool_proposals(outcomes: Iterable[ProposalOutcome], iteration: int, domain: Domain) -> ProposalPool:
    """Pool proposals in their order; a question that was there before, or is reserved, makes no task."""
    pool = ProposalPool()
    for outcome in outcomes:
        pool.proposals += 1
        pool.tool_calls += outcome.tool_calls
        question = outcome.question
        if question is None:
            pool.rejections[outcome.rejection or "no_question"] += 1
            continue
        pool.questions.append(question)
        if domain.held_out(question):
            pool.rejections["held_out"] += 1
        elif question in pool.tasks:
            pool.rejections["duplicate"] += 1
        else:
            pool.tasks[question] = Task(
                id=f"i{iteration}-{len(pool.tasks):05d}",
                iteration=iteration,
                question=question,
                topic=outcome.topic,
                proposer_answer=outcome.answer,
                proposer_tool_calls=outcome.tool_calls,
            )
    return pool
