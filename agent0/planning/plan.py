"""The plan of an evolution on given GPUs: memory, tokens and hours of each stage, and whether it all fits."""

from __future__ import annotations

from collections import defaultdict
from typing import Literal

from pydantic import Field

from agent0.config import Config
from agent0.planning.architecture import architecture_of
from agent0.planning.checkpoint_costs import CheckpointPlan, checkpoint_plan
from agent0.planning.duration import ASSUMPTIONS, Duration, Source, stage_duration
from agent0.planning.hardware import Cluster
from agent0.planning.ideal_share import Term, ideal_share, priced, stage_terms
from agent0.planning.placement import STAGES, StageName, algorithm, place
from agent0.planning.rates import MeasuredRates
from agent0.planning.stage_demands import DeviceUse, PlanRecord, stage_memory
from agent0.planning.throughput import Setting
from agent0.planning.token_work import mean_lengths, stage_work

SECONDS_PER_HOUR = 3600.0


class StagePlan(PlanRecord):
    """One stage of an iteration."""

    stage: StageName
    fits: bool
    problems: tuple[str, ...]
    devices: tuple[DeviceUse, ...]
    host_gib: float | None = Field(description="GiB of each node's host; None where nothing is trained.")
    notes: tuple[str, ...]
    drawn_tokens: int
    trained_tokens: int
    hours: float | None = Field(None, description="Of one iteration; None where the stage does not fit.")
    checkpoints: CheckpointPlan | None = Field(description="None where the stage does not fit or nothing is trained.")
    rates: Source | None = Field(None, description="Where the hours' rates come from.")


class Proposal(PlanRecord):
    """Settings, and GPUs where these are too few, with which everything fits."""

    overrides: tuple[str, ...]
    gpus: str


class Alternative(PlanRecord):
    """One way to draw the trajectories of the model in training."""

    policy_backend: Literal["transformers", "vllm", "vllm_server"]
    policy_gpus: int
    executor_gpus: int
    hours: float | None = Field(description="Of the whole evolution; None where no division of the GPUs fits.")
    rates: Source | None
    problem: str | None = Field(description="Why it does not fit, for the division nearest to the settings.")


class Plan(PlanRecord):
    """The plan of an evolution."""

    version: Literal[4] = 4
    recipe: str
    model: str
    parameters: int
    gpus: str
    gpu_memory_gib: float
    iterations: int
    fits: bool
    stages: tuple[StagePlan, ...]
    hours_per_iteration: float | None
    hours: float | None = Field(description="All iterations and the base model's evaluation.")
    rates: Source | None
    share_of_ideal: float | None = Field(
        description="GPU hours of the tokens that must be drawn and trained on, at full rates, over all GPU hours."
    )
    terms: tuple[Term, ...] = Field(description="What the GPUs' time of an iteration goes into.")
    rates_source: str | None = Field(description="The run that the measured rates come from.")
    mean_prompt_tokens: float
    mean_response_tokens: float
    assumptions: dict[str, float] = Field(description="What estimates assume; not measured.")
    placements: tuple[Alternative, ...] = Field((), description="Where else the model in training could draw.")
    proposal: Proposal | None = None


def make_plan(
    config: Config,
    cluster: Cluster,
    mean_response_tokens: int | None = None,
    measured: MeasuredRates | None = None,
) -> Plan:
    """Return the plan of `config` on `cluster`, without a proposal.

    Args:
        config: the settings as given.
        cluster: the GPUs.
        mean_response_tokens: mean length of a response; None assumes a share of the budget.
        measured: rates measured on these GPUs with this model size; None estimates them.

    Raises:
        UsageError: the model's sizes are not known.
    """
    architecture = architecture_of(config.model)
    lengths = mean_lengths(config, mean_response_tokens)
    setting = Setting(architecture, config, cluster, lengths, measured)
    spent: dict[str, float] = defaultdict(float)
    stages = tuple(_stage(stage, setting, spent) for stage in STAGES)
    fits = all(stage.fits for stage in stages)
    source = measured.source if measured else None
    terms = priced(spent, source) if fits else ()
    per_iteration = sum(stage.hours or 0.0 for stage in stages) if fits else None
    return Plan(
        recipe=config.recipe,
        model=config.model.source,
        parameters=architecture.parameters,
        gpus=str(cluster),
        gpu_memory_gib=cluster.gpu.memory_gib,
        iterations=config.iterations,
        fits=fits,
        stages=stages,
        hours_per_iteration=per_iteration,
        hours=None if per_iteration is None else config.iterations * per_iteration + (stages[-1].hours or 0.0),
        rates=_joint_source(stages) if fits else None,
        share_of_ideal=ideal_share(terms) if fits else None,
        terms=terms,
        rates_source=source,
        mean_prompt_tokens=lengths.prompt,
        mean_response_tokens=lengths.response,
        assumptions=dict(ASSUMPTIONS),
    )


def _stage(stage: StageName, setting: Setting, spent: dict[str, float]) -> StagePlan:
    """Return the plan of a stage, and add to `spent` what its GPUs' seconds go into."""
    config, cluster = setting.config, setting.cluster
    memory = stage_memory(stage, setting.architecture, config, cluster)
    work = stage_work(stage, config, setting.lengths)
    duration: Duration | None = None
    checkpoints: CheckpointPlan | None = None
    seconds = 0.0
    if memory.fits:
        placement = place(config, stage, cluster.nodes, cluster.gpus_per_node)
        duration = stage_duration(stage, placement, work, setting)
        seconds = duration.seconds
        if work.steps:
            checkpoints = checkpoint_plan(
                setting.architecture, config, algorithm(config, stage), placement.trainers, seconds
            )
            seconds += checkpoints.seconds
        if seconds:
            for name, gpu_seconds in stage_terms(stage, placement, work, setting, duration, checkpoints).items():
                spent[name] += gpu_seconds
    return StagePlan(
        stage=stage,
        fits=memory.fits,
        problems=memory.problems,
        devices=memory.devices,
        host_gib=memory.host_gib,
        notes=_notes(memory.devices),
        drawn_tokens=round(work.drawn),
        trained_tokens=round(work.trained),
        hours=seconds / SECONDS_PER_HOUR if duration else None,
        checkpoints=checkpoints,
        rates=duration.source if duration else None,
    )


def _notes(devices: tuple[DeviceUse, ...]) -> tuple[str, ...]:
    """Say where vLLM's cache holds fewer trajectories of full length than are in flight; the others wait."""
    return tuple(
        f"{use.role}: cache for {use.full_trajectories} full-length trajectories, {use.wanted_trajectories} in flight"
        for use in devices
        if use.full_trajectories is not None and use.full_trajectories < (use.wanted_trajectories or 0)
    )


def _joint_source(stages: tuple[StagePlan, ...]) -> Source:
    sources = {stage.rates for stage in stages if stage.hours}
    if sources <= {"measured"}:
        return "measured"
    return "estimate" if sources == {"estimate"} else "part measured"
