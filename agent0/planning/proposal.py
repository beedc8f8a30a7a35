"""The least change of the settings with which a configuration that does not fit does.

A beam search over single changes, gentle ones first; what it returns was planned again and fits. Batch sizes, lengths
and the model are the method's and are never changed; where no change helps, more GPUs of the same kind are tried.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

from agent0.config import Config
from agent0.planning.architecture import Architecture, architecture_of
from agent0.planning.hardware import Cluster
from agent0.planning.placement import STAGES
from agent0.planning.plan import Proposal
from agent0.planning.stages import StageMemory, stage_memory

BEAM_WIDTH = 24
MAX_CHANGES = 8
PROBLEM_GIB = 1000.0
"""What a problem weighs that is none of memory, against one missing GiB."""
LORA_RANK = 64
CLUSTER_SHAPES = ((1, 1), (1, 2), (1, 4), (1, 8), (2, 8), (4, 8), (8, 8))

Value = int | float | bool | str
Changes = Mapping[str, Value]


@dataclass(frozen=True)
class Option:
    """A setting, the values to try, and how unwelcome a change of it is."""

    setting: str
    values: tuple[Value, ...]
    cost: float


def options(gpus_per_node: int) -> tuple[Option, ...]:
    """Return the changes to try on nodes of so many GPUs."""
    shares = tuple(sorted({gpus_per_node // 2, gpus_per_node // 4, 1} - {0}, reverse=True))
    return (
        Option("curriculum.micro_batch_size", (4, 2, 1), 1.0),
        Option("executor.micro_batch_size", (4, 2, 1), 1.0),
        Option("training.gradient_checkpointing", (True,), 1.0),
        Option("training.colocated_sleep", (True,), 1.0),
        Option("rollout.batch_size", (128, 32, 8), 1.0),
        Option("training.colocated_memory", (0.4, 0.3, 0.5, 0.25, 0.2), 1.5),
        Option("training.executor_gpus", shares, 1.5),
        Option("training.policy_gpus", (0, *shares), 1.5),
        Option("training.processes", (0,), 1.5),
        Option("rollout.vllm.gpu_memory_utilization", (0.9,), 1.5),
        Option("rollout.vllm.tensor_parallel_size", (1, 2, 4, 8), 2.0),
        Option("training.sharding", ("fsdp2",), 2.0),
        Option("training.precision", ("bfloat16",), 2.0),
        Option("training.policy_backend", ("vllm",), 3.0),
        Option("rollout.backend", ("vllm_server",), 3.0),
        Option("training.lora.rank", (LORA_RANK,), 12.0),
    )


def propose(config: Config, cluster: Cluster) -> Proposal | None:
    """Return the gentlest change found with which `config` fits on `cluster`, or else on more of the same GPUs.

    Returns:
        None where not even the largest cluster tried helps.
    """
    architecture = architecture_of(config.model)
    for shape in ((cluster.nodes, cluster.gpus_per_node), *CLUSTER_SHAPES):
        tried = Cluster(*shape, cluster.gpu)
        if tried.total > cluster.total or tried == cluster:
            changes = _search(architecture, config, tried)
            if changes is not None:
                return Proposal(
                    overrides=tuple(f"{name}={_written(value)}" for name, value in changes.items()), gpus=str(tried)
                )
    return None


def _search(architecture: Architecture, config: Config, cluster: Cluster) -> dict[str, Value] | None:
    choices = options(cluster.gpus_per_node)
    costs = {option.setting: option.cost for option in choices}

    def lacking(changes: Changes) -> float:
        changed = changed_config(config, changes)
        return sum(_lacking(stage_memory(stage, architecture, changed, cluster)) for stage in STAGES)

    def cost(changes: Changes) -> float:
        return sum(costs[name] for name in changes)

    beam: list[dict[str, Value]] = [{}]
    for _ in range(MAX_CHANGES + 1):
        ranked = sorted(((lacking(changes), cost(changes), changes) for changes in beam), key=lambda item: item[:2])
        fitting = [item for item in ranked if item[0] == 0]
        if fitting:
            return _pruned(min(fitting, key=lambda item: item[1])[2], lacking)
        best = [changes for _, _, changes in ranked[:BEAM_WIDTH]]
        beam = list(_unique(changed for changes in best for changed in _neighbours(config, changes, choices)))
    return None


def _neighbours(config: Config, changes: Changes, choices: tuple[Option, ...]) -> Iterator[dict[str, Value]]:
    for option in choices:
        if option.setting in changes:
            continue
        current: Any = reduce(getattr, option.setting.split("."), config)
        for value in option.values:
            if value != current:
                yield {**changes, option.setting: value}


def _unique(candidates: Iterator[dict[str, Value]]) -> Iterator[dict[str, Value]]:
    seen: set[frozenset[tuple[str, Value]]] = set()
    for changes in candidates:
        key = frozenset(changes.items())
        if key not in seen:
            seen.add(key)
            yield changes


def _pruned(changes: dict[str, Value], lacking: Any) -> dict[str, Value]:
    """Drop each change without which it still fits."""
    for name in list(changes):
        fewer = {other: value for other, value in changes.items() if other != name}
        if lacking(fewer) == 0:
            changes = fewer
    return changes


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
