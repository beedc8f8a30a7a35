"""What each stage needs of every GPU that works in it and, in a training, of the host, and whether the GPUs suffice.

A training alternates between drawing and updating, so the larger of the two counts. No time, no proposals.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from agent0.config import Config
from agent0.planning.architecture import Architecture
from agent0.planning.engine_share import colocated_engine
from agent0.planning.gpu_memory import (
    MARGIN,
    SERVER_BATCHED_TOKENS,
    SLEEPING_ENGINE_GIB,
    Engine,
    Parts,
    cache_parts,
    engine,
    full_length,
    generating_parts,
    host_gib,
    training_state,
    weights_gib,
)
from agent0.planning.hardware import Cluster
from agent0.planning.placement import Placement, StageName, algorithm, place, rows_per_update, sequences_per_step

ROUNDING_GIB = 1e-6


class PlanRecord(BaseModel):
    """Base of what a plan consists of: frozen, unknown keys rejected."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DeviceUse(PlanRecord):
    """One kind of GPU in a stage: who works on it, and its memory at the worst moment."""

    role: str
    gpus: int
    moment: str = Field(description="When the memory is largest: 'drawing' or 'updating'.")
    parts_gib: dict[str, float] = Field(description="GiB on one GPU by consumer.")
    total_gib: float
    limit_gib: float = Field(description="GiB that may be used: the GPU less its margin, or the engine's own share.")
    full_trajectories: int | None = Field(None, description="Trajectories of full length in vLLM's cache, all engines.")
    wanted_trajectories: int | None = Field(None, description="Trajectories that are in flight at once.")

    @property
    def fits(self) -> bool:
        """Whether the memory suffices."""
        return self.total_gib <= self.limit_gib + ROUNDING_GIB

    @property
    def largest(self) -> str:
        """The largest consumer."""
        return max(self.parts_gib, key=lambda name: self.parts_gib[name])


class StageMemory(PlanRecord):
    """A stage's GPUs and the reasons why it cannot run."""

    stage: StageName
    devices: tuple[DeviceUse, ...]
    host_gib: float | None = Field(description="GiB of each node's host; None where nothing is trained.")
    problems: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether the stage can run."""
        return not self.problems


def stage_memory(stage: StageName, architecture: Architecture, config: Config, cluster: Cluster) -> StageMemory:
    """Return the memory of one stage on a cluster."""
    placement = place(config, stage, cluster.nodes, cluster.gpus_per_node)
    problems = list(placement.problems)
    parallel = config.rollout.vllm.tensor_parallel_size
    if _engines_used(config, placement) and architecture.heads % parallel:
        problems.append(f"tensor_parallel_size={parallel} does not divide the model's {architecture.heads} heads")
    together = placement.policy_servers // cluster.nodes  # the policy has one server on each node
    if together and architecture.heads % together:
        problems.append(f"training.policy_gpus={together} does not divide the model's {architecture.heads} heads")
    devices: list[DeviceUse] = []
    if placement.trainers:
        devices.append(_trainer(stage, architecture, config, cluster, placement))
    elif placement.frozen_in_process:
        devices.append(_in_process(architecture, config, cluster, placement))
    if placement.policy_servers:
        sequences = sequences_per_step(algorithm(config, stage))
        devices.append(
            _server("policy server", placement.policy_servers, together, sequences, architecture, config, cluster)
        )
    if placement.frozen_servers:
        role = "frozen executor" if placement.trainers else "vLLM server"
        in_flight = config.rollout.concurrency * (placement.frozen_servers // parallel)
        devices.append(_server(role, placement.frozen_servers, parallel, in_flight, architecture, config, cluster))
    given = config.training.colocated_memory  # one that the plan chooses is too small where the trainer is too large
    if placement.trainers and config.training.policy_backend == "vllm" and given:
        unit = engine_beside(stage, architecture, config, cluster)
        if unit.trajectories < 1:
            problems.append(
                f"training.colocated_memory={given} gives vLLM {unit.budget:.1f} GiB, but weights, workspace and one "
                f"trajectory take {unit.least:.1f}"
            )
    problems += [
        f"{use.role}: {use.total_gib:.1f} GiB needed of {use.limit_gib:.1f}, most by {use.largest} "
        f"({use.parts_gib[use.largest]:.1f} GiB)"
        for use in devices
        if not use.fits
    ]
    host = None
    if placement.trainers:
        host = host_gib(architecture, config, algorithm(config, stage), placement.trainers // cluster.nodes)
    return StageMemory(stage=stage, devices=tuple(devices), host_gib=host, problems=tuple(problems))


def _engines_used(config: Config, placement: Placement) -> bool:
    return bool(placement.frozen_servers or (placement.frozen_in_process and config.rollout.backend == "vllm"))


def usable(cluster: Cluster) -> float:
    """Return the GiB of a GPU that a plan may fill."""
    return cluster.gpu.memory_gib * (1 - MARGIN)


def server_engine(architecture: Architecture, config: Config, cluster: Cluster, parallel: int) -> Engine:
    """Return the engine, shared by `parallel` GPUs, on each GPU that holds nothing else."""
    vllm = config.rollout.vllm
    budget = vllm.gpu_memory_utilization * cluster.gpu.memory_gib
    return engine(architecture, vllm, full_length(config), parallel, budget, SERVER_BATCHED_TOKENS)


def engine_beside(stage: StageName, architecture: Architecture, config: Config, cluster: Cluster) -> Engine:
    """Return the engine beside each training process of a training stage."""
    settings = algorithm(config, stage)
    processes = place(config, stage, cluster.nodes, cluster.gpus_per_node).trainers
    rows = _rows(config, stage, processes)
    return colocated_engine(architecture, config, settings, rows, processes, cluster.gpu.memory_gib)


def _rows(config: Config, stage: StageName, processes: int) -> int:
    """Return a process's trajectories of one update; a batch that does not divide is a problem told of elsewhere."""
    settings = algorithm(config, stage)
    share = -(-sequences_per_step(settings) // processes)
    return rows_per_update(settings, processes) or -(-share // settings.updates_per_step)


def _server(
    role: str, gpus: int, parallel: int, wanted: int, architecture: Architecture, config: Config, cluster: Cluster
) -> DeviceUse:
    unit = server_engine(architecture, config, cluster, parallel)
    engines = gpus // parallel
    return _use(
        role,
        gpus,
        "drawing",
        {"weights": unit.weights, "workspace": unit.workspace, "KV cache": unit.cache},
        unit.budget,
        unit.trajectories * engines,
        min(wanted, engines * config.rollout.vllm.max_sequences),
    )


def _in_process(architecture: Architecture, config: Config, cluster: Cluster, placement: Placement) -> DeviceUse:
    if config.rollout.backend == "vllm":
        gpus = placement.frozen_in_process  # one engine
        return _server("vLLM engine", gpus, gpus, config.rollout.concurrency, architecture, config, cluster)
    parts = generating_parts(architecture, config, config.rollout.batch_size)
    return _use("transformers", 1, "drawing", parts, usable(cluster))


def _trainer(
    stage: StageName, architecture: Architecture, config: Config, cluster: Cluster, placement: Placement
) -> DeviceUse:
    settings, processes = algorithm(config, stage), placement.trainers
    share = -(-sequences_per_step(settings) // processes)
    state = training_state(architecture, config, settings, _rows(config, stage, processes), processes)
    drawing, updating = dict(state.standing), {**state.standing, **state.updating}
    fitting = wanted = None
    backend = config.training.policy_backend
    if backend == "transformers":
        drawing |= cache_parts(architecture, config, share)
        if config.training.staleness and stage == "executor_training":
            copied = {**cache_parts(architecture, config, share), "drawing copy": weights_gib(architecture, config)}
            drawing |= copied
            updating |= copied
    else:
        drawing["weight sync"] = state.weight_sync
    if backend == "vllm":
        unit = engine_beside(stage, architecture, config, cluster)
        drawing["vLLM engine"] = max(unit.budget, unit.least)
        asleep = config.training.colocated_sleep
        updating["vLLM engine"] = min(SLEEPING_ENGINE_GIB, unit.budget) if asleep else drawing["vLLM engine"]
        fitting, wanted = unit.trajectories * processes, share * processes
    if placement.frozen_in_process:
        frozen = _frozen_beside(architecture, config, cluster)
        drawing["frozen executor"] = updating["frozen executor"] = frozen
    moment, parts = max((("drawing", drawing), ("updating", updating)), key=lambda item: sum(item[1].values()))
    return _use("trainer", processes, moment, parts, usable(cluster), fitting, wanted)


def _frozen_beside(architecture: Architecture, config: Config, cluster: Cluster) -> float:
    """Return what each training process's own copy of the frozen executor takes."""
    if config.rollout.backend == "vllm":
        unit = server_engine(architecture, config, cluster, 1)
        return max(unit.budget, unit.least)
    parts = generating_parts(architecture, config, config.rollout.batch_size)
    return sum(gib for name, gib in parts.items() if name != "CUDA")  # the trainer's own context serves both


def _use(
    role: str,
    gpus: int,
    moment: str,
    parts: Parts,
    limit: float,
    fitting: int | None = None,
    wanted: int | None = None,
) -> DeviceUse:
    return DeviceUse(
        role=role,
        gpus=gpus,
        moment=moment,
        parts_gib=parts,
        total_gib=sum(parts.values()),
        limit_gib=limit,
        full_trajectories=fitting,
        wanted_trajectories=wanted,
    )
