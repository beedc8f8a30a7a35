"""One process of a training: load, train, save. `python -m agent0.training.worker JOB` under torchrun."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import agent0.training.lean_trl  # noqa: F401  # before anything that imports transformers or trl
from agent0.answers import VoteCounter
from agent0.child_processes import die_with_parent
from agent0.config import CurriculumSettings
from agent0.domains import get_domain, get_prompts
from agent0.errors import Agent0Error, explain
from agent0.progress import UNSHOWN, Shown
from agent0.rollout.agents import ExecutorAgent, askable
from agent0.rollout.backends import open_backend
from agent0.rollout.engine import Backend, RolloutEngine, TokenBudget
from agent0.rollout.model_folders import load_model, load_tokenizer
from agent0.rollout.tokens import check_model_tokens
from agent0.rollout.vllm_environment import visible_gpus
from agent0.sandbox import Sandbox, open_sandbox
from agent0.storage.shards import iterate_records
from agent0.storage.workspace import Workspace
from agent0.tools import ProgramRunner
from agent0.training.adapter_turns import open_turns
from agent0.training.batch_division import BatchPlan
from agent0.training.checkpoint_keeper import CheckpointKeeper
from agent0.training.checkpoint_writer import CheckpointWriter
from agent0.training.checkpoints import (
    check_format,
    complete_checkpoints,
    drop_all_but_last,
    drop_unfinished,
    history_of,
    step_of,
    step_rows,
)
from agent0.training.curriculum import ExecutorInTheLoopReward, curriculum_trainer
from agent0.training.drawing_ahead import DrawingAhead
from agent0.training.engine_turns import EngineTurns, FrozenTurnBackend
from agent0.training.executor import executor_trainer
from agent0.training.export import export
from agent0.training.failed_attempt import Attempt, leaving_word
from agent0.training.grpo import SandboxReadings, StepLogger, grpo_arguments
from agent0.training.guards import GuardCallback, Guards
from agent0.training.preflight import check_job
from agent0.training.retries import read_retry, retried
from agent0.training.solver import BatchSolver, EarlySolver, Solver
from agent0.training.training_job import ERROR_FILE, LOG_FILE, LogMetrics, PreemptedError, StepsFile, TrainingJob
from agent0.types import LabelledTask, Task


def train(job: TrainingJob, log: LogMetrics, shown: Shown = UNSHOWN) -> list[dict[str, float]]:
    """Train from the newest whole checkpoint, or from the beginning, and write the result to the job's output.

    A training whose last checkpoint is already there is not run again: its result is written from it.

    Returns:
        Each optimizer step's numbers, those of earlier attempts included; `log` gets them all, too, and `shown` what
        the first process draws meanwhile.

    Raises:
        UsageError: it cannot be done here, or goes on from checkpoints of another format.
        PreemptedError: the training was asked to stop, and a checkpoint is saved.
        GuardTripped: a guard stopped it.
        Agent0Error: it ran out of memory, or a checkpoint could not be written.
    """
    if job.training.sharding != "zero3":  # DeepSpeed cannot read its own checkpoints without unpickling them
        os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
    workspace = Workspace(job.workspace, job.remote)
    if _rank() == 0:
        drop_unfinished(workspace)
    check_format(job)
    if retry := read_retry(workspace):
        job = retried(job, retry)
        if _rank() == 0:
            shown.warn(str(retry))
    found = complete_checkpoints(job.workspace)
    history = history_of(found[-1]) if found else []
    if _rank() == 0:
        for row in history:
            log({name: value for name, value in row.items() if name != "step"}, int(row["step"]))
    if not found or step_of(found[-1]) < job.updates:
        history = _run(job, workspace, found[-1] if found else None, log, shown if _rank() == 0 else UNSHOWN)
    if _rank() == 0:
        export(job, complete_checkpoints(job.workspace)[-1])
        drop_all_but_last(workspace)
    return history


def _run(
    job: TrainingJob, workspace: Workspace, start: Path | None, log: LogMetrics, shown: Shown
) -> list[dict[str, float]]:
    check_job(job, visible_gpus(), _processes())
    plan = BatchPlan.of(job, _processes())
    arguments = grpo_arguments(job, plan)  # before the model is loaded: sharded loading is switched on by it
    writer = CheckpointWriter(workspace, job.training.checkpoints.keep, job.training.sharding)
    keeper = CheckpointKeeper(job, writer, plan.updates)
    callbacks = [StepLogger(log), GuardCallback(Guards(job.training.guards, plan.sequences), keeper.last_good), keeper]
    with (
        leaving_word(job, workspace) as attempt,
        writer.at_work(),
        open_sandbox(job.sandbox, int(os.environ.get("LOCAL_WORLD_SIZE", "1"))) as pool,
        ExitStack() as opened,
    ):
        model, tokenizer = load_model(job.base, job.model.dtype)
        turns = opened.enter_context(open_turns(job, plan))
        if isinstance(job.algorithm, CurriculumSettings):
            assert job.frozen_executor is not None
            with (
                _frozen_executor(job, job.algorithm, job.frozen_executor, pool, turns) as executor,
                _solver(job, job.algorithm, executor, shown) as solver,
            ):
                rules = askable(job.frozen_executor, job.rollout)
                archive = _questions(job.earlier_questions)
                reward = ExecutorInTheLoopReward(solver, rules, pool, job.algorithm, job.drawing_seed, archive)
                earlier = _labelled(job.earlier_tasks)
                trainer = curriculum_trainer(
                    job, job.algorithm, plan, arguments, model, tokenizer, reward, pool, turns, shown, earlier
                )
                return _fit(trainer, pool, callbacks, keeper, start, job, attempt)
        with DrawingAhead() as drawing:
            trainer = executor_trainer(
                job,
                job.algorithm,
                plan,
                arguments,
                model,
                tokenizer,
                _labelled(job.tasks),
                pool,
                drawing,
                turns,
                shown,
                _labelled(job.earlier_tasks),
                _labelled(job.negative_tasks),
                _labelled(job.anchor_tasks),
            )
            return _fit(trainer, pool, callbacks, keeper, start, job, attempt)


def _fit(
    trainer: Any,
    pool: Sandbox,
    callbacks: list[Any],
    keeper: CheckpointKeeper,
    start: Path | None,
    job: TrainingJob,
    attempt: Attempt,
) -> list[dict[str, float]]:
    attempt.trainer = trainer
    for callback in [SandboxReadings(trainer, pool), *callbacks]:
        trainer.add_callback(callback)
    with keeper.listening():
        trainer.train(resume_from_checkpoint=str(start) if start else None)
    if keeper.stopped:
        raise PreemptedError(
            f"The training was asked to stop and did so after {trainer.state.global_step} of {job.updates} updates, "
            f"with a checkpoint in {job.remote or job.workspace}; run the stage again and it goes on there."
        )
    return step_rows(trainer.state.log_history)


@contextmanager
def _frozen_executor(
    job: TrainingJob, settings: CurriculumSettings, folder: Path, pool: ProgramRunner, turns: EngineTurns
) -> Iterator[ExecutorAgent]:
    """Open the executor that rewards the curriculum agent: on its servers, in the trainer's engine, or loaded here."""
    tokenizer = load_tokenizer(folder)
    with _executor_backend(job, settings, folder, tokenizer, turns) as backend:
        engine = RolloutEngine(tokenizer, backend, pool, TokenBudget.from_settings(job.rollout))
        yield ExecutorAgent(engine, get_prompts(job.rollout), get_domain(job.rollout.domain))


@contextmanager
def _solver(job: TrainingJob, settings: CurriculumSettings, executor: ExecutorAgent, shown: Shown) -> Iterator[Solver]:
    """Open the way in which that executor comes to questions: on servers of its own, to each as it is proposed."""
    with VoteCounter() as counter:
        if not job.executor_endpoints:
            yield BatchSolver(executor, counter, settings.executor_samples, shown)
            return
        with EarlySolver(executor, counter, settings.executor_samples, shown) as solver:
            yield solver


@contextmanager
def _executor_backend(
    job: TrainingJob, settings: CurriculumSettings, folder: Path, tokenizer: Any, turns: EngineTurns
) -> Iterator[Backend]:
    rollout = job.rollout
    if job.shares_engine:
        ends = check_model_tokens(folder, tokenizer, rollout)
        yield FrozenTurnBackend(turns, folder, settings, ends, rollout)
        return
    if not job.executor_endpoints:
        # Each process loads it beside its own model; where vLLM serves it, there are endpoints.
        gpus = [int(os.environ.get("LOCAL_RANK", "0"))]
        sampling, seed = settings.executor_sampling, job.drawing_seed
        with open_backend(folder, tokenizer, rollout, sampling, log=job.folder, seed=seed, gpus=gpus) as backend:
            yield backend
        return
    from agent0.rollout.vllm_server_backend import VllmServerBackend

    ends = check_model_tokens(folder, tokenizer, rollout)
    share = max(1, rollout.concurrency * len(job.executor_endpoints) // _processes())
    yield VllmServerBackend(
        list(job.executor_endpoints), str(folder), settings.executor_sampling, ends, rollout.vllm, share
    )


def _labelled(folder: Path | None) -> list[LabelledTask]:
    return [] if folder is None else list(iterate_records(LabelledTask, folder))


def _questions(folder: Path | None) -> list[str]:
    return [] if folder is None else [task.question for task in iterate_records(Task, folder)]


def _processes() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def _rank() -> int:
    return int(os.environ.get("RANK", "0"))


def leave_word(path: Path, text: str) -> None:
    """Write the error of the process that fails first; the others fail because it did."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return


def main(path: Path) -> int:
    """Train as one of torchrun's processes; an error is left as a sentence in the job's folder."""
    die_with_parent()
    job = TrainingJob.read(path)
    try:
        steps = StepsFile(job)
        train(job, steps, steps)
    except Agent0Error as error:
        leave_word(job.folder / ERROR_FILE, f"{error.exit_code}\n{error}")
        return error.exit_code
    except Exception as error:
        leave_word(job.folder / ERROR_FILE, f"1\n{explain(error)} (log: {job.folder / LOG_FILE})")
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
