"""Stage: draw proposals from the trained curriculum agent, or from a teacher in its place, shard by shard.

A finished shard is kept at once, so a restart draws only what is missing, with the same result. Several pods may draw
side by side; a pod alone also makes the tasks (`agent0.stages.task_collection`), and draws on where they are too few.
How many of them the filter will keep nobody knows here: the votes are another stage's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import chain
from pathlib import Path

from agent0.config import CurriculumSettings, GenerationSettings, RolloutSettings, SandboxSettings
from agent0.domains import get_domain, get_prompts
from agent0.progress import Drawing
from agent0.rollout import Throughput
from agent0.rollout.agents import CurriculumAgent, Proposal
from agent0.rollout.model_folders import load_tokenizer
from agent0.sandbox import open_sandbox
from agent0.seeds import derive_seed
from agent0.stages.keeping import kept_aside
from agent0.stages.open_agents import open_proposer, seed_everything
from agent0.stages.open_history import earlier_tasks
from agent0.stages.session import Stage, StageResult, read_report
from agent0.stages.sharding import ALONE, Share, deliver, piece, unfinished
from agent0.stages.stage_files import PROPOSALS_FOLDER
from agent0.stages.task_collection import collect_tasks, pool_proposals
from agent0.stages.teacher import Teacher, open_teacher
from agent0.storage.shards import iterate_shard, write_shard
from agent0.storage.workspace import Workspace
from agent0.training.conditions import Conditions, earnings
from agent0.types import Condition, ProposalOutcome, Trajectory

PIECE = "proposals"


def run_task_generation(
    stage: Stage,
    *,
    curriculum_model: Path,
    executor_model: Path,
    history: Path,
    output: Path,
    rollout: RolloutSettings,
    sandbox: SandboxSettings,
    curriculum: CurriculumSettings,
    generation: GenerationSettings,
    share: Share = ALONE,
) -> StageResult:
    """Write the outcomes of the pod's proposals to `output`, and, where no other pod takes part, the tasks as well.

    Of the executor, which will solve the tasks, only the tokenizer is looked at: a question must fit its prompt. What a
    topic earned is read from the report of the curriculum agent's training, examples are from `history`.

    Raises:
        Agent0Error: no proposal was valid.
        UsageError: an earlier attempt had other settings.
    """
    seed_everything(stage.seed)
    workspace = stage.workspace(output, share.part)
    shards = share.shards(generation.proposals, generation.shard_size)
    measured = Throughput().metrics()

    def left() -> dict[int, range]:
        missing = unfinished(workspace, PIECE, ProposalOutcome, shards)
        while not missing and (further := further_shards(stage, workspace, shards, rollout, generation)):
            shards.update(further)
            missing = unfinished(workspace, PIECE, ProposalOutcome, shards)
        return missing

    def draw_all(agent: CurriculumAgent | Teacher) -> None:
        asked = asks(stage, curriculum_model, history, rollout, curriculum)
        while further := left():
            draw_shards(stage, agent, workspace, shards, further, asked)

    if generation.teacher.is_named:
        verified = get_domain(rollout.domain).labels == "verified"
        with open_sandbox(sandbox, needed=verified) as pool:
            teacher = open_teacher(stage, executor_model, history, workspace, rollout, generation, share, pool)
            draw_all(teacher)
        measured = teacher.metrics()
    elif missing := left():
        with (
            open_sandbox(sandbox) as pool,
            open_proposer(
                curriculum_model,
                pool,
                rollout,
                generation.sampling,
                executor=executor_model,
                log=output,
                seed=derive_seed(stage.seed, "engine", min(missing)),
            ) as agent,
        ):
            draw_all(agent)
            measured = {**agent.throughput.metrics(), **pool.gauges().metrics()}
    for number in shards:
        deliver(workspace, piece(PIECE, number), output / PROPOSALS_FOLDER, number)
    if share.is_everything:
        return collect_tasks(stage, [output], output, rollout, curriculum).with_metrics(measured)
    return StageResult({"tasks/generated": float(sum(map(len, shards.values()))), **measured})


Asks = Callable[[range], list[Condition]]
"""Says of the numbers of proposals what is asked for in each."""


def asks(
    stage: Stage, curriculum_model: Path, history: Path, rollout: RolloutSettings, curriculum: CurriculumSettings
) -> Asks:
    """Return what says what each proposal is asked for: a topic, by what it earned in the training, and examples."""
    settings = curriculum.conditioning
    conditions = Conditions(settings, get_domain(rollout.domain).topics, earlier_tasks(history))
    earned = earnings(read_report(curriculum_model).log) if settings.topics == "earned" else {}
    tokenizer, prompts = load_tokenizer(curriculum_model), get_prompts(rollout)
    return lambda numbers: [
        prompts.fitted(tokenizer, condition, rollout.max_prompt_tokens)
        for condition in conditions.numbered(numbers, earned, stage.seed)
    ]


def draw_shards(
    stage: Stage,
    agent: CurriculumAgent | Teacher,
    workspace: Workspace,
    shards: dict[int, range],
    missing: dict[int, range],
    asked: Asks,
) -> None:
    """Draw the missing shards, and read and keep each in the workspace as it finishes."""
    conditions = {number: asked(rows) for number, rows in missing.items()}
    total = sum(map(len, shards.values()))
    restored = total - sum(map(len, missing.values()))

    def read(number: int, trajectories: list[Trajectory]) -> None:
        name = piece(PIECE, number)
        outcomes = map(_outcome, agent.read(trajectories, conditions[number]), conditions[number])
        write_shard(workspace.folder / name, outcomes, ProposalOutcome)
        workspace.save(name)

    with kept_aside() as keep:
        agent.propose_batches(
            conditions.items(),
            stage.seed,
            lambda number, trajectories: keep(lambda: read(number, trajectories)),
            Drawing(stage.progress, total, "proposals", restored),
        )


def further_shards(
    stage: Stage,
    workspace: Workspace,
    shards: dict[int, range],
    rollout: RolloutSettings,
    generation: GenerationSettings,
) -> dict[int, range]:
    """Return the shards to draw beyond finished ones whose tasks are too few, as many as these tasks let expect."""
    if not generation.least_tasks:
        return {}
    pieces = (workspace.folder / piece(PIECE, number) for number in shards)
    outcomes = chain.from_iterable(iterate_shard(path, ProposalOutcome) for path in pieces)
    tasks = len(pool_proposals(outcomes, stage.iteration, get_domain(rollout.domain)).tasks)
    drawn = sum(map(len, shards.values()))
    if tasks >= generation.least_tasks:
        return {}
    if drawn >= generation.max_proposals:
        stage.progress.warn(
            f"{drawn} proposals gave {tasks} tasks, fewer than generation.least_tasks = {generation.least_tasks}, and "
            "generation.max_proposals allows no more."
        )
        return {}
    wanted = min(generation.max_proposals, math.ceil(drawn * generation.least_tasks / max(1, tasks)))
    starts = range(drawn, wanted, generation.shard_size)
    stage.progress.note(f"{drawn} proposals gave {tasks} tasks; drawing on to {wanted} proposals")
    return {
        len(shards) + number: range(start, min(wanted, start + generation.shard_size))
        for number, start in enumerate(starts)
    }


def _outcome(proposal: Proposal, condition: Condition) -> ProposalOutcome:
    trajectory = proposal.trajectory
    return ProposalOutcome(
        question=proposal.question,
        rejection=proposal.rejection,
        topic=condition.topic,
        answer=trajectory.answer,
        tool_calls=len(trajectory.tool_calls),
    )
