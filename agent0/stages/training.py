"""What both training stages share: from settings and folders to a finished training job."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from agent0.config import (
    CurriculumSettings,
    ExecutorSettings,
    ModelSettings,
    RolloutSettings,
    SandboxSettings,
    TrainingSettings,
)
from agent0.stages.session import Stage, StageResult
from agent0.stages.training_log import last_steps, step_logger
from agent0.training.job import TrainingJob
from agent0.training.launch import run_job
from agent0.training.processes import place

WEIGHT_TRANSFER = (
    "--weight-transfer-config",
    '{"backend":"nccl"}',
    "--logprobs-mode",
    "processed_logprobs",
    "--max-logprobs",
    "-1",
)
"""What TRL needs of a server that it sends weights to."""


def run_training(
    stage: Stage,
    *,
    base: Path,
    output: Path,
    model: ModelSettings,
    rollout: RolloutSettings,
    sandbox: SandboxSettings,
    algorithm: CurriculumSettings | ExecutorSettings,
    training: TrainingSettings,
    headline: Sequence[str],
    tasks: Path | None = None,
    frozen_executor: Path | None = None,
) -> StageResult:
    """Train an agent from `base` into `output`, with the servers and processes that the settings ask for."""
    import torch

    workspace = stage.workspace(output)
    serves_executor = frozen_executor is not None and rollout.backend == "vllm_server"
    placement = place(
        training,
        torch.cuda.device_count(),
        policy_server=training.policy_backend == "vllm_server",
        executor_server=serves_executor,
    )
    agent: Literal["executor", "curriculum"] = "executor" if frozen_executor is None else "curriculum"
    folder = output.with_name(f"{output.name}.job")
    with (
        _served(frozen_executor if serves_executor else None, rollout, placement.executor, folder) as executors,
        _served(base if placement.policy else None, rollout, placement.policy, folder, WEIGHT_TRANSFER) as policies,
    ):
        job = TrainingJob(
            folder=folder,
            base=base,
            output=output,
            workspace=workspace.folder,
            remote=workspace.remote,
            tasks=tasks,
            frozen_executor=frozen_executor,
            executor_endpoints=tuple(executors),
            policy_endpoint=next(iter(policies), ""),
            model=model,
            rollout=rollout,
            sandbox=sandbox,
            algorithm=algorithm,
            agent=agent,
            training=training,
            seed=stage.seed,
        )
        history = run_job(job, placement, step_logger(stage, agent, job.updates, headline))
    return StageResult(last_steps(history, agent, headline), log=history)


@contextmanager
def _served(
    model: Path | None, rollout: RolloutSettings, gpus: Sequence[int], log: Path, arguments: Sequence[str] = ()
) -> Iterator[list[str]]:
    """Serve a model for the length of the block and yield the servers' addresses; none for no model."""
    if model is None:
        yield []
        return
    from agent0.rollout.vllm_process import serve

    with serve(model, rollout, log=log, gpus=gpus, extra_arguments=arguments) as endpoints:
        yield endpoints
