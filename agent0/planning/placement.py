"""Who works on which GPUs in each stage, and whether the settings allow it at all; no memory, no time.

Counts are over the whole cluster: what the settings say of one node holds for each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from agent0.config import Config, CurriculumSettings, ExecutorSettings

StageName = Literal[
    "curriculum_training", "task_generation", "sandboxed_execution", "executor_training", "benchmark_evaluation"
]
TRAINING_STAGES: tuple[StageName, ...] = ("curriculum_training", "executor_training")
GENERATION_STAGES: tuple[StageName, ...] = ("task_generation", "sandboxed_execution", "benchmark_evaluation")
STAGES: tuple[StageName, ...] = get_args(StageName)
"""The stages of an iteration that need a GPU, in their order; filtering and reporting need none."""


@dataclass(frozen=True)
class Placement:
    """GPUs of one stage by who works on them, and what the settings get wrong about them.

    `trainers` run training processes, `policy_servers` draw for the model in training, `frozen_servers` for a frozen
    model; `frozen_in_process` are GPUs on which a stage's own process holds the frozen model. `shared` says that the
    frozen model draws from the trainers' own engines, in turn with the model in training.
    """

    stage: StageName
    trainers: int = 0
    policy_servers: int = 0
    frozen_servers: int = 0
    frozen_in_process: int = 0
    shared: bool = False
    problems: tuple[str, ...] = ()


def algorithm(config: Config, stage: StageName) -> CurriculumSettings | ExecutorSettings:
    """Return the settings of a training stage's algorithm."""
    return config.curriculum if stage == "curriculum_training" else config.executor


def sequences_per_step(settings: CurriculumSettings | ExecutorSettings) -> int:
    """Return the trajectories of one generation batch."""
    return settings.groups_per_step * settings.group_size


def rows_per_update(settings: CurriculumSettings | ExecutorSettings, processes: int) -> int | None:
    """Return a process's trajectories of one update; None if they do not divide (`agent0.training.batch_division`)."""
    rows, rest = divmod(sequences_per_step(settings), settings.updates_per_step * processes)
    return None if rest or not rows else rows


def place(config: Config, stage: StageName, nodes: int, gpus_per_node: int) -> Placement:
    """Return who works on the GPUs in `stage`, with all problems that need no knowledge of memory."""
    if stage in TRAINING_STAGES:
        return _place_training(config, stage, nodes, gpus_per_node)
    parallel = config.rollout.vllm.tensor_parallel_size
    if not config.rollout.on_vllm:
        return Placement(stage, frozen_in_process=1)
    served = config.rollout.backend == "vllm_server"
    if parallel > gpus_per_node or (served and gpus_per_node % parallel):
        problem = f"rollout.vllm.tensor_parallel_size={parallel} does not divide the {gpus_per_node} GPUs of a node"
        return Placement(stage, problems=(problem,))
    if served:
        return Placement(stage, frozen_servers=nodes * gpus_per_node)
    return Placement(stage, frozen_in_process=parallel)


def _place_training(config: Config, stage: StageName, nodes: int, gpus_per_node: int) -> Placement:
    training, rollout = config.training, config.rollout
    frozen_model = stage == "curriculum_training"
    shared = frozen_model and training.shares_engine(rollout)
    served = frozen_model and rollout.on_vllm and not shared
    frozen = training.executor_gpus if served else 0
    policy = training.policy_gpus if training.policy_backend == "vllm_server" else 0
    free = gpus_per_node - frozen - policy
    problems = _server_problems(config, frozen, policy, served)
    if free < max(1, training.processes):
        wanted = training.processes or 1
        problems.append(
            f"training.executor_gpus={frozen} and training.policy_gpus={policy} leave {max(0, free)} of "
            f"{gpus_per_node} GPUs for {wanted} training process{'es' if wanted > 1 else ''}"
        )
        return Placement(stage, problems=tuple(problems))
    trainers = nodes * (training.processes or free)
    if training.policy_backend == "transformers" and training.sharding != "ddp":
        problems.append(
            f"training.policy_backend='transformers' cannot draw from weights sharded by training.sharding="
            f"'{training.sharding}'; use 'vllm'"
        )
    if training.policy_backend == "vllm" and training.staleness:
        problems.append("training.staleness=1 draws beside the trainers, which training.policy_backend='vllm' cannot")
    settings = algorithm(config, stage)
    if rows_per_update(settings, trainers) is None:
        problems.append(
            f"{sequences_per_step(settings)} sequences per step do not divide into {settings.updates_per_step} "
            f"update(s) on {trainers} processes"
        )
    in_process = trainers if frozen_model and not served and not shared else 0
    return Placement(stage, trainers, nodes * policy, nodes * frozen, in_process, shared, tuple(problems))


def _server_problems(config: Config, frozen: int, policy: int, served: bool) -> list[str]:
    parallel = config.rollout.vllm.tensor_parallel_size
    problems = []
    if served and not frozen:
        problems.append(
            f"rollout.backend='{config.rollout.backend}' needs training.executor_gpus for the frozen executor, unless "
            "it shares the engines of the training (training.policy_backend 'vllm', training.launcher 'pod')"
        )
    if config.training.policy_backend == "vllm_server" and not policy:
        problems.append("training.policy_backend='vllm_server' needs training.policy_gpus")
    if frozen % parallel:
        problems.append(f"training.executor_gpus={frozen} is no multiple of tensor_parallel_size={parallel}")
    return problems
