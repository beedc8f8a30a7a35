"""One run of the ablation: an evolution of one variant with one seed, what it cost, and whether its switches acted."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import torch
from ablation_variants import Variant, World, overrides
from safetensors.torch import load_file
from tiny_evolution import evolve

from agent0.ablations import FULL
from agent0.config import Config, load_config
from agent0.progress import plain_line, read_events
from agent0.report.history import HISTORY_FILE, History
from agent0.stages.base_model import run_base_model
from agent0.stages.open_history import read_history
from agent0.stages.session import Stage
from agent0.stages.warm_start import run_warm_start
from agent0.storage.seal import is_intact, seal

TRACES: Mapping[str, tuple[str, ...]] = {
    "no-curriculum-training": ("proposer's changed tensors",),
    "no-tool-reward": ("tool reward",),
    "no-repetition-penalty": ("repetition penalty",),
    "grpo": ("ADPO metrics",),
    "single-turn": ("second programs",),
    "proposer-without-tool": ("proposer's tool calls",),
    "no-tool": ("executor's tool calls", "proposer's tool calls", "second programs"),
}
"""What must be zero where an ablation acts."""
MAY_BE_ZERO = {"second programs"}  # a model that learned to write one program may never write two


@dataclass(frozen=True)
class Run:
    """One evolution; without a history it has not ended, and `failure` says why."""

    variant: str
    seed: int
    folder: Path
    history: History | None
    failure: str = ""

    @property
    def whole(self) -> History:
        """The history of a run that ended."""
        assert self.history is not None
        return self.history

    @property
    def final(self) -> float:
        """Accuracy of the last executor."""
        return self.whole.iterations[-1].executor.accuracy

    @property
    def gain(self) -> float:
        """That accuracy minus the first model's under the same protocol."""
        return self.final - self.whole.iterations[0].executor.accuracy

    def updates(self) -> int:
        """Optimizer steps of the executor."""
        return sum(len(record.training.get("executor", ())) for record in self.whole.iterations)

    def samples(self) -> int:
        """Trajectories that both agents drew, without evaluations, probes, audits and redraws."""
        config = Config.model_validate(self.whole.config)
        curriculum, executor = config.curriculum, config.executor
        drawn = 0.0
        for record in self.whole.iterations:
            steps = record.training.get("curriculum", ())
            proposed = len(steps) / curriculum.updates_per_step * curriculum.prompts_per_step * curriculum.group_size
            valid = [step["proposals/valid"] for step in steps if "proposals/valid" in step]
            drawn += proposed * (1 + curriculum.executor_samples * fmean(valid or [0.0]))
            batches = len(record.training.get("executor", ())) / executor.updates_per_step
            drawn += batches * executor.tasks_per_step * executor.group_size
            if record.proposals is not None:
                voted = sum(record.proposals.self_consistency_histogram.values())
                drawn += record.proposals.generated + voted * config.execution.samples
        return round(drawn)

    def traces(self) -> dict[str, float]:
        """What the parts of the method left behind, as numbers that are zero where a part was not there."""
        rounds = [record.proposals for record in self.whole.iterations if record.proposals is not None]
        curriculum = [step for record in self.whole.iterations for step in record.training.get("curriculum", ())]
        executor = [step for record in self.whole.iterations for step in record.training.get("executor", ())]
        examples = [example for record in self.whole.iterations for example in record.examples]
        return {
            "proposer's changed tensors": float(changed_tensors(self.folder)),
            "tool reward": largest(curriculum, "reward/tool_use"),
            "repetition penalty": largest(curriculum, "reward/repetition"),
            "ADPO metrics": float(sum(name.startswith("adpo/") for step in executor for name in step)),
            "second programs": float(sum(max(0, example.tool_calls - 1) for example in examples)),
            "executor's tool calls": sum(record.executor.tool_calls for record in self.whole.iterations)
            + sum(proposals.tool_calls for proposals in rounds),
            "proposer's tool calls": sum(proposals.proposer_tool_calls for proposals in rounds)
            + sum(step.get("rollout/tool_calls", 0.0) for step in curriculum),
        }


def run_variant(
    folder: Path, name: str, seed: int, recipe: str, settings: Sequence[str], ablations: Sequence[str]
) -> Run:
    """Run one evolution, or go on with the one in `folder`; one that ended is read."""
    try:
        evolve(folder, seed, settings, ablations, recipe=recipe)
    except subprocess.CalledProcessError:
        return Run(name, seed, folder, None, last_error(folder))
    return read_run(folder, name, seed)


def read_run(folder: Path, name: str, seed: int) -> Run:
    """Read what a run left in its folder; without a history where it is not there or has not ended."""
    if not (folder / HISTORY_FILE).is_file():
        return Run(name, seed, folder, None)
    history = read_history(folder)
    ended = len(history.iterations) == history.planned_iterations + 1
    return Run(name, seed, folder, history if ended else None)


def begin_warm(folder: Path, world: World, variant: Variant, more: Sequence[str]) -> list[str]:
    """Return the settings by which runs begin with one model after its warm start, which is made if it is not there.

    One for agents with a tool and one for those without. Every seed evolves the same model, as it would a pretrained
    one: seeds differ in what is drawn. A variant under another recipe has that recipe's warm start beyond it.
    """
    ablations = () if variant.recipe else variant.ablations
    config = load_config(world.recipe, overrides(world, Variant(""), more), ablations)
    place = (folder / ("warm" if config.rollout.has_tool else "warm-without-tool")).resolve()
    base, warm = place / "base", place / "model"
    if not is_intact(warm):
        for made in (base, warm):
            made.mkdir(parents=True, exist_ok=True)
        run_base_model(Stage.untracked("base_model", 0), output=base, model=config.model)
        run_warm_start(
            Stage.untracked("warm_start", 0),
            base_model=base,
            output=warm,
            rollout=config.rollout,
            sandbox=config.sandbox,
            warm_start=config.warm_start,
            curriculum=config.curriculum,
            training=config.training,
        )
        seal(warm)
    return [f"model.source={warm}", *([] if variant.recipe else ["warm_start.steps=0"])]


def last_error(folder: Path) -> str:
    """Return the last error that a stage of a run told, as a sentence."""
    events = read_events((folder / "progress.jsonl").read_bytes()) if (folder / "progress.jsonl").is_file() else ()
    told = [plain_line(event) for event in events if event["kind"] == "error"]
    return told[-1] if told else "it ended without saying why; see its log.txt"


def find_problems(runs: Sequence[Run], variants: Mapping[str, Variant]) -> Iterator[str]:
    """Say which runs failed, and where a switch did not do what it is for."""
    for run in runs:
        where = f"{run.variant}, seed {run.seed}"
        if run.history is None:
            yield from [f"{where}: the run did not end: {run.failure}"] if run.failure else ()
            continue
        traces = run.traces()
        silent = {name for ablation in variants[run.variant].ablations for name in TRACES[ablation]}
        yield from (f"{where}: {name} should be 0 and is {traces[name]:g}." for name in sorted(silent) if traces[name])
        if run.variant == FULL:
            missing = [name for name, value in traces.items() if not value and name not in MAY_BE_ZERO]
            yield from (f"{where}: {name} is 0, so its ablation shows nothing." for name in missing)


def changed_tensors(folder: Path) -> int:
    """Count the tensors of all trained curriculum agents of a run that are not bit for bit the base model's."""
    models: dict[str, list[Path]] = {"base_model": [], "curriculum_training": []}
    for report in folder.glob("artifacts/**/stage.json"):
        stage = json.loads(report.read_text(encoding="utf-8"))["stage"]
        if stage in models:
            models[stage].append(report.parent / "model.safetensors")
    if not all(models.values()):
        raise SystemExit(f"{folder} holds no base model or no curriculum agent; has the layout of artifacts changed?")
    base = load_file(models["base_model"][0])
    return sum(
        not torch.equal(tensor, base[name])
        for path in models["curriculum_training"]
        for name, tensor in load_file(path).items()
    )


def largest(steps: Sequence[Mapping[str, float]], name: str) -> float:
    """Return the largest value of a metric over steps; 0 where no step has it."""
    return max((step[name] for step in steps if name in step), default=0.0)
