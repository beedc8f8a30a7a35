"""What does each part of the method add? Runs the embedded evolution whole and with parts left out, over paired seeds.

    python bench/ablation.py --seeds 5 --output runs/ablation [--variants full,grpo] [--check]

A variant's difference to the full method is taken seed by seed, with a 95 % t interval over seeds; intervals are not
corrected for the number of variants. The embedded world is small: a part that adds nothing here may matter elsewhere.
With --check it exits with 1 if a run did not end or a switch did not act; it never judges which variant is better.
With --output, finished runs are kept and an interrupted benchmark goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import torch
from rich import box
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file
from tiny_evolution import evolve

from agent0.ablations import ABLATIONS, FULL, active_ablations
from agent0.config import load_config
from agent0.report.ablation_effects import conclusion, shown
from agent0.report.ablation_effects import paired as paired_finals
from agent0.report.history import HISTORY_FILE, History

TABLE_WIDTH = 110
VARIANTS: Mapping[str, tuple[str, ...]] = {
    FULL: (),
    **{name: (name,) for name in ABLATIONS},
    "r-zero": active_ablations(load_config("r-zero").model_dump()),
}
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
MAY_BE_ZERO = {"second programs"}  # the embedded model has learned to write one program, so it may never write two


@dataclass(frozen=True)
class Run:
    """One evolution; without a history it failed."""

    variant: str
    seed: int
    folder: Path
    history: History | None

    @property
    def final(self) -> float:
        """Accuracy of the last executor."""
        return self._whole.iterations[-1].executor.accuracy

    @property
    def gain(self) -> float:
        """That accuracy minus the base model's under the same protocol."""
        return self.final - self._whole.iterations[0].executor.accuracy

    @property
    def last_round(self) -> tuple[float, float | None, float | None]:
        """Tool calls per held-out question, label accuracy, and the first executor's pass rate, all at the end."""
        last = self._whole.iterations[-1]
        assert last.proposals is not None
        return last.executor.tool_calls, last.proposals.label_accuracy, last.proposals.first_executor_pass_rate

    @property
    def _whole(self) -> History:
        assert self.history is not None
        return self.history

    def traces(self) -> dict[str, float]:
        """What the parts of the method left behind, as numbers that are zero where a part was not there."""
        history = self._whole
        rounds = [record.proposals for record in history.iterations if record.proposals is not None]
        curriculum = [step for record in history.iterations for step in record.training.get("curriculum", ())]
        executor = [step for record in history.iterations for step in record.training.get("executor", ())]
        examples = [example for record in history.iterations for example in record.examples]
        return {
            "proposer's changed tensors": float(changed_tensors(self.folder)),
            "tool reward": largest(curriculum, "reward/tool_use"),
            "repetition penalty": largest(curriculum, "reward/repetition"),
            "ADPO metrics": float(sum(name.startswith("adpo/") for step in executor for name in step)),
            "second programs": float(sum(max(0, example.tool_calls - 1) for example in examples)),
            "executor's tool calls": sum(record.executor.tool_calls for record in history.iterations)
            + sum(proposals.tool_calls for proposals in rounds),
            "proposer's tool calls": sum(proposals.proposer_tool_calls for proposals in rounds)
            + sum(step.get("rollout/tool_calls", 0.0) for step in curriculum),
        }


def main() -> int:
    """Run, print, and check if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="evolutions of each variant, with seeds 0, 1, ...")
    parser.add_argument("--variants", default=",".join(VARIANTS), help=f"comma-separated, of: {', '.join(VARIANTS)}")
    parser.add_argument("--output", type=Path, help="folder that keeps the runs; a temporary one if not given")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.FIELD=VALUE", help="override a setting")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a run failed or a switch did not act")
    arguments = parser.parse_args()
    chosen = arguments.variants.split(",")
    unknown = [name for name in chosen if name not in VARIANTS]
    if unknown:
        parser.error(f"there is no variant {', '.join(unknown)}; there are: {', '.join(VARIANTS)}")
    if arguments.seeds < 2:
        parser.error("an interval needs at least two seeds")
    variants = [FULL, *(name for name in VARIANTS if name in chosen and name != FULL)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.output or Path(temporary)
        # Seed by seed, so that an interrupted benchmark has whole pairs.
        runs = [
            run_variant(folder / f"{variant}-seed-{seed}", variant, seed, arguments.set)
            for seed in range(arguments.seeds)
            for variant in variants
        ]
        console = Console(width=max(TABLE_WIDTH, Console().width))
        console.print(table(runs, variants))
        problems = list(find_problems(runs))
    for sentence in [*differences(runs, variants), *problems]:
        console.print(sentence, soft_wrap=True)
    console.print("check (every run ended, every switch acted): " + ("failed" if problems else "passed"))
    return int(arguments.check and bool(problems))


def run_variant(folder: Path, variant: str, seed: int, overrides: Sequence[str]) -> Run:
    """Run one evolution, or go on with the one in `folder`."""
    started = folder / "run.json"
    if started.is_file():
        config = load_config("tiny", [*overrides, f"seed={seed}"], VARIANTS[variant])
        if json.loads(started.read_text(encoding="utf-8"))["config"] != config.model_dump(mode="json"):
            raise SystemExit(f"{folder} holds a run with other settings; choose another --output.")
    try:
        evolve(folder, seed, overrides, VARIANTS[variant], resume=started.is_file())
    except subprocess.CalledProcessError:
        return Run(variant, seed, folder, None)  # its own sentence is on standard error
    return Run(variant, seed, folder, History.model_validate_json((folder / HISTORY_FILE).read_text(encoding="utf-8")))


def find_problems(runs: Sequence[Run]) -> Iterator[str]:
    """Say which runs failed, and where a switch did not do what it is for."""
    for run in runs:
        where = f"{run.variant}, seed {run.seed}"
        if run.history is None or len(run.history.iterations) != run.history.planned_iterations + 1:
            yield f"{where}: the run did not end."
            continue
        traces = run.traces()
        silent = {name for ablation in VARIANTS[run.variant] for name in TRACES[ablation]}
        yield from (f"{where}: {name} should be 0 and is {traces[name]:g}." for name in sorted(silent) if traces[name])
        if run.variant == FULL:
            missing = [name for name, value in traces.items() if not value and name not in MAY_BE_ZERO]
            yield from (f"{where}: {name} is 0, so its ablation shows nothing." for name in missing)


def table(runs: Sequence[Run], variants: Sequence[str]) -> Table:
    """One row per variant, means over the seeds that ended."""
    drawn = Table(title="Embedded evolution, means over seeds", title_justify="left", box=box.SIMPLE_HEAD)
    drawn.add_column("variant", no_wrap=True)
    for column in ("ended", "final", "gain (95 %)", "minus full (95 %)", "calls", "labels", "1st exec."):
        drawn.add_column(column, justify="right", no_wrap=True)
    for variant in variants:
        ended = [run for run in runs if run.variant == variant and run.history]
        total = sum(run.variant == variant for run in runs)
        if not ended:
            drawn.add_row(variant, f"0/{total}", *["–"] * 6)
            continue
        columns = zip(*(run.last_round for run in ended), strict=True)
        drawn.add_row(
            variant,
            f"{len(ended)}/{total}",
            f"{fmean(run.final for run in ended):.3f}",
            shown([run.gain for run in ended]),
            "" if variant == FULL else shown(paired(runs, variant)),
            *(mean_of_known(column) for column in columns),
        )
    return drawn


def differences(runs: Sequence[Run], variants: Sequence[str]) -> Iterator[str]:
    """Say for each variant what its difference to the full method amounts to."""
    for variant in variants[1:]:
        yield conclusion(variant, paired(runs, variant))
    if {"no-tool", "r-zero"} & set(variants):
        yield "Without the tool the first executor has none either, so '1st exec.' is another yardstick there."


def paired(runs: Sequence[Run], variant: str) -> list[float]:
    """Final accuracy of a variant minus the full method's, for each seed that both ended."""
    finals = {(run.variant, run.seed): run.final for run in runs if run.history}
    return paired_finals(finals, variant)


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


def mean_of_known(values: Sequence[float | None]) -> str:
    """Show the mean of the values that there are."""
    known = [value for value in values if value is not None]
    return f"{fmean(known):.3f}" if known else "–"


if __name__ == "__main__":
    sys.exit(main())
