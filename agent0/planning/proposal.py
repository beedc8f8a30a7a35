"""The least change of the settings with which a configuration that does not fit does.

Changes are taken one after the other; what comes out was planned again and fits. Batch sizes, lengths and the model are
the method's and are never changed; where no change helps, more GPUs of the same kind are tried.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agent0.config import Config
from agent0.planning.architecture import Architecture, architecture_of
from agent0.planning.gpu_memory import full_length
from agent0.planning.hardware import Cluster
from agent0.planning.placement import STAGES
from agent0.planning.plan import Proposal
from agent0.planning.stage_demands import StageMemory, stage_memory

PROBLEM_GIB = 1000.0
"""What a problem weighs that is none of memory, against one missing GiB."""
LORA_RANK = 64
CLUSTER_SHAPES = ((1, 1), (1, 2), (1, 4), (1, 8), (2, 8), (4, 8), (8, 8))

Value = int | float | bool | str
Changes = Mapping[str, Value]

Movable = Mapping[str, tuple[float, tuple[Value, ...]]]
"""By setting, how unwelcome its change is, and the values to try."""


def movable(shares: Sequence[int], length: int) -> Movable:
    """Return the settings that may be changed, where servers may have `shares` of a node's GPUs.

    Args:
        shares: numbers of GPUs.
        length: tokens of the longest trajectory.
    """
    return {
        "training.micro_batch_tokens": (1.0, tuple(trajectories * length for trajectories in (4, 2, 1))),
        "training.gradient_checkpointing": (1.0, (True,)),
        "training.colocated_sleep": (1.0, (True,)),
        "rollout.batch_size": (1.0, (128, 32, 8)),
        "training.colocated_memory": (1.5, (0.0,)),
        "training.executor_gpus": (1.5, (0, *shares)),
        "training.policy_gpus": (1.5, (0, *shares)),
        "training.staleness": (1.5, (0,)),
        "training.processes": (1.5, (0,)),
        "rollout.vllm.gpu_memory_utilization": (1.5, (0.9,)),
        "rollout.vllm.tensor_parallel_size": (2.0, (1, 2, 4, 8)),
        "training.sharding": (2.0, ("fsdp2",)),
        "training.precision": (2.0, ("bfloat16",)),
        "training.policy_backend": (3.0, ("vllm",)),
        "rollout.backend": (3.0, ("vllm_server",)),
        "training.lora.rank": (12.0, (LORA_RANK,)),
    }


def moves(settings: Movable, shares: Sequence[int], gpus_per_node: int) -> tuple[Changes, ...]:
    """Return the changes to try on nodes of so many GPUs; settings that need each other change together."""
    single: list[Changes] = [{name: value} for name, (_, values) in settings.items() for value in values]
    served: list[Changes] = [
        {"training.policy_backend": "vllm_server", "training.policy_gpus": policy, "training.executor_gpus": executor}
        for policy in shares
        for executor in shares
        if policy + executor < gpus_per_node
    ]
    # An engine in a stage's process would leave all GPUs but one idle.
    backend = "vllm" if gpus_per_node == 1 else "vllm_server"
    shared: Changes = {"rollout.backend": backend, "training.policy_backend": "vllm", "training.executor_gpus": 0}
    return (*single, *served, shared)


def propose(config: Config, cluster: Cluster, given: Sequence[str] = ()) -> Proposal | None:
    """Return the gentlest change found with which `config` fits on `cluster`, or else on more of the same GPUs.

    Args:
        config: the settings that do not fit.
        cluster: the GPUs.
        given: the overrides that `config` was loaded with; the proposal repeats them before its own.

    Returns:
        None where not even the largest cluster tried helps.
    """
    architecture = architecture_of(config.model)
    for shape in ((cluster.nodes, cluster.gpus_per_node), *CLUSTER_SHAPES):
        tried = Cluster(*shape, cluster.gpu)
        if tried.total > cluster.total or tried == cluster:
            changes = _search(architecture, config, tried)
            if changes is not None:
                kept = [override for override in given if override.partition("=")[0].strip() not in changes]
                new = [f"{name}={_written(value)}" for name, value in changes.items()]
                return Proposal(overrides=(*kept, *new), gpus=str(tried))
    return None


def _search(architecture: Architecture, config: Config, cluster: Cluster) -> dict[str, Value] | None:
    """Take the change that helps most, the gentler of equals, until all fits; None where no further one helps."""
    gpus = cluster.gpus_per_node
    shares = sorted({gpus // 2, gpus // 4, 1} - {0}, reverse=True)
    settings = movable(shares, full_length(config))
    choices = moves(settings, shares, gpus)

    def rank(changes: Changes) -> tuple[float, float]:
        changed = changed_config(config, changes)
        lacking = sum(_lacking(stage_memory(stage, architecture, changed, cluster)) for stage in STAGES)
        return lacking, sum(settings[name][0] for name in changes)

    chosen: dict[str, Value] = {}
    while rank(chosen)[0]:
        further = min(({**chosen, **move} for move in choices), key=rank)
        if rank(further) >= rank(chosen):
            return None
        chosen = further
    for name in list(chosen):  # what a later change made needless
        fewer = {other: value for other, value in chosen.items() if other != name}
        if not rank(fewer)[0]:
            chosen = fewer
    return chosen


def _lacking(memory: StageMemory) -> float:
    """Return how far a stage is from fitting; 0 where it fits."""
    missing = sum(use.total_gib - use.limit_gib for use in memory.devices if not use.fits)
    other = len(memory.problems) - sum(not use.fits for use in memory.devices)
    return missing + PROBLEM_GIB * other


def changed_config(config: Config, changes: Changes) -> Config:
    """Return `config` with settings such as `training.sharding` changed; the values are taken to be valid."""
    for name, value in changes.items():
        config = _changed(config, name.split("."), value)
    return config


def _changed(section: Any, path: list[str], value: Value) -> Any:
    head, *rest = path
    return section.model_copy(update={head: _changed(getattr(section, head), rest, value) if rest else value})


def _written(value: Value) -> str:
    """Return a value as `--set` reads it."""
    return value if isinstance(value, str) else json.dumps(value)
