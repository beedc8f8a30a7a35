"""A plan as text for a terminal of 80 columns."""

from __future__ import annotations

import math

from rich.console import Group, RenderableType
from rich.text import Text

from agent0.cli.screen import Table
from agent0.planning.checkpoint_costs import SECONDS_PER_MINUTE
from agent0.planning.plan import Alternative, Plan, StagePlan
from agent0.planning.stage_demands import DeviceUse

BAR_WIDTH = 8
SHORT = {
    "curriculum_training": "curriculum",
    "task_generation": "generation",
    "sandboxed_execution": "execution",
    "executor_training": "executor",
    "benchmark_evaluation": "evaluation",
}
DRAWING = {
    "transformers": "policy drawn by the trainers (transformers)",
    "vllm": "policy drawn by vLLM beside the trainers (vllm)",
    "vllm_server": "policy drawn by servers (vllm_server)",
}
UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def plan_view(plan: Plan) -> RenderableType:
    """Return what `agent0 plan` prints: the table, the verdict, and what the hours rest on."""
    heading = Text(
        f"{plan.recipe}: {plan.model}, {_count(plan.parameters)} parameters, on {plan.gpus} "
        f"({plan.gpu_memory_gib:g} GiB each)",
        style="bold",
    )
    lines: list[RenderableType] = [heading, "", _table(plan), "", _verdict(plan)]
    for stage in plan.stages:
        lines += [Text(f"{SHORT[stage.stage]}: {problem}.", style="red") for problem in stage.problems]
    notes = dict.fromkeys(note for stage in plan.stages for note in stage.notes)
    lines += [Text(f"note: {note}", style="dim") for note in notes]
    if hosts := [stage.host_gib for stage in plan.stages if stage.host_gib is not None]:
        lines.append(Text(f"host memory of each node that trains: {math.ceil(max(hosts))} GiB"))
    lines += _checkpoints(plan)
    lines += [Text(f"{DRAWING[other.policy_backend]}: {_outcome(other)}") for other in plan.placements]
    lines.append(_basis(plan))
    if plan.share_of_ideal is not None:
        lines += _terms(plan, plan.share_of_ideal)
    if not plan.fits:
        lines.append(_proposal(plan))
    return Group(*lines)


def _table(plan: Plan) -> Table:
    numbers = ("GiB/GPU", "drawn", "trained", "hours")
    table = Table("stage", "GPUs", "GiB/GPU", "", "drawn", "trained", "hours", right=numbers)
    for stage in plan.stages:
        _add_stage(table, stage)
    return table


def _add_stage(table: Table, stage: StagePlan) -> None:
    numbers = (
        _count(stage.drawn_tokens),
        _count(stage.trained_tokens) if stage.trained_tokens else "–",
        "–" if stage.hours is None else _hours(stage.hours, stage.rates),
    )
    name = Text(SHORT[stage.stage], style="" if stage.fits else "bold red")
    if not stage.devices:
        table.add(name, "–", "–", "", *numbers)
    for index, use in enumerate(stage.devices):
        row = (Text(f"{use.gpus} × {use.role}"), Text(f"{use.total_gib:.0f}/{use.limit_gib:.0f}"), _bar(use))
        table.add(*((name, *row, *numbers) if index == 0 else ("", *row, "", "", "")))


def _bar(use: DeviceUse) -> Text:
    """Draw a GPU's memory; vLLM's cache, which takes whatever is left to it, is shaded."""
    cache = use.parts_gib.get("KV cache", 0.0) if use.full_trajectories is not None else 0.0
    filled = min(BAR_WIDTH, round(use.total_gib / use.limit_gib * BAR_WIDTH))
    solid = min(filled, round((use.total_gib - cache) / use.limit_gib * BAR_WIDTH))
    bar = "█" * solid + "▒" * (filled - solid) + "░" * (BAR_WIDTH - filled)
    return Text(bar, style="green" if use.fits else "red")


def _verdict(plan: Plan) -> Text:
    if not plan.fits or plan.hours is None or plan.hours_per_iteration is None:
        return Text("Does not fit.", style="bold red")
    total, each = _hours(plan.hours, plan.rates), _hours(plan.hours_per_iteration, plan.rates)
    return Text(f"Fits. {plan.iterations} iterations: {total} h, {each} h each.", "bold green")


def _terms(plan: Plan, share: float) -> tuple[RenderableType, ...]:
    """Say what the GPUs' time goes into, and which share of it goes into what must be done."""
    table = Table("GPUs' time", "hours", "share", "rests on", right=("hours", "share"))
    for term in (term for term in plan.terms if round(term.share, 2)):
        table.add(term.name, f"{term.gpu_hours:.1f}", f"{term.share:.2f}", term.source)
    verdict = f"Share of the ideal: {share:.2f} of the GPUs' time goes into the first two terms."
    return "", table, "", Text(verdict, style="bold")


def _checkpoints(plan: Plan) -> list[RenderableType]:
    """Say what the trainings' checkpoints, and the models that they hand on, take."""
    made = {SHORT[stage.stage]: stage.checkpoints for stage in plan.stages if stage.checkpoints}
    if not made:
        return []
    each = (
        f"{name} {taken.count} × {taken.gigabytes:.3g} GB, ~{taken.seconds / SECONDS_PER_MINUTE:.1f} min"
        for name, taken in made.items()
    )
    disk = max(taken.disk_gigabytes for taken in made.values())
    return [Text(f"checkpoints: {'; '.join(each)}; workspace: {disk:.3g} GB")]


def _outcome(other: Alternative) -> str:
    if other.hours is None:
        return "does not fit"
    gpus = f", policy_gpus={other.policy_gpus}" if other.policy_gpus else ""
    return f"{_hours(other.hours, other.rates)} h with executor_gpus={other.executor_gpus}{gpus}"


def _basis(plan: Plan) -> Text:
    response = f"Assumed mean response: {plan.mean_response_tokens:.0f} tokens."
    if plan.rates_source is None:
        return Text(f"~ estimate from the GPU's data sheet, not measured (--rates FILE). {response}", style="dim")
    return Text(f"Rates measured by {plan.rates_source}; ~ marks what was not. {response}", style="dim")


def _proposal(plan: Plan) -> Text:
    if plan.proposal is None:
        return Text("No change of the placement was found that fits; use larger GPUs or a smaller model.", style="bold")
    settings = "".join(f" \\\n  --set {override}" for override in plan.proposal.overrides)
    return Text(f"This fits:\n  agent0 plan --recipe {plan.recipe} --gpus {plan.proposal.gpus}{settings}", style="bold")


def _hours(hours: float, source: str | None) -> str:
    return f"{'' if source == 'measured' else '~'}{hours:.1f}"


def _count(number: float) -> str:
    for size, unit in UNITS:
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.0f}"
