"""Does the embedded evolution learn, and go on learning? Runs it over several seeds; means with 95 % intervals.

    python bench/tiny_evolution.py --seeds 5 [--check] [--set filtering.min_grounded=0.5]

Reported over seeds: accuracy of the final executor minus the base model's on held-out questions, what each iteration
adds to the one before, the labels and the number of tasks that each was trained on, and the first executor's pass rate
on the proposals of the last iteration minus that of the first (negative: they became harder).
With --check it exits with 1 unless every bar is met: the intervals of the whole gain and of each iteration's lie above
zero, the proposals became harder, at least 90 % of the labels of every iteration are right in every seed, and no
iteration has less than 60 % of the first one's tasks on average.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.table import Table

from agent0.report.ablation_effects import t_interval

LABELS = 0.9
TASKS = 0.6


def main() -> int:
    """Run, print, and judge if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="evolutions to run, with seeds 0, 1, ...")
    parser.add_argument("--output", type=Path, help="folder that keeps the runs; a temporary one if not given")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.FIELD=VALUE", help="override a setting")
    parser.add_argument("--check", action="store_true", help="exit with 1 when the bar is missed")
    arguments = parser.parse_args()
    if arguments.seeds < 2:
        parser.error("an interval needs at least two seeds")
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.output or Path(temporary)
        runs = [folder / f"seed-{seed}" for seed in range(arguments.seeds)]
        summaries = [evolve(run, seed, arguments.set) for seed, run in enumerate(runs)]
        return report(summaries, max(map(peak_memory_mb, runs)), arguments.check)


def evolve(
    output: Path,
    seed: int,
    overrides: Sequence[str] = (),
    ablations: Sequence[str] = (),
    *,
    recipe: str = "tiny",
    resume: bool = False,
) -> dict[str, Any]:
    """Run one evolution in its own process, or go on with it, and return its summary."""
    command = [sys.executable, "-m", "agent0", "evolve", "--output", str(output)]
    if resume:
        command.append("--resume")
    else:
        command += ["--recipe", recipe, "--seed", str(seed)]
        command += [part for override in overrides for part in ("--set", override)]
        command += [part for name in ablations for part in ("--ablation", name)]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{output.parent / 'mlflow.db'}"}
    output.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(command, check=True, env=environment)
    summary: dict[str, Any] = json.loads((output / "summary.json").read_text(encoding="utf-8"))
    return summary


def peak_memory_mb(run: Path) -> float:
    """Return the largest resident size that any stage of a run reports of itself, MiB."""
    reports = [json.loads(path.read_text(encoding="utf-8")) for path in run.glob("artifacts/**/stage.json")]
    return max(float(report["peak_memory_mb"]) for report in reports)


def report(summaries: list[dict[str, Any]], peak: float, check: bool) -> int:
    """Print the tables and the differences; return the exit status."""
    rounds = [summary["iterations"] for summary in summaries]
    console = Console()
    console.print(table(summaries))
    print_rounds(console, rounds)
    console.print(f"largest process: {peak:.0f} MiB resident")
    accuracy = [[record["executor"]["accuracy"] for record in records] for records in rounds]
    proposals = [[record["proposals"] for record in records[1:]] for records in rounds]
    gain, _ = interval("final minus base accuracy", [values[-1] - values[0] for values in accuracy])
    steps = [
        interval(
            f"iteration {number} minus the one before", [values[number] - values[number - 1] for values in accuracy]
        )
        for number in range(1, len(accuracy[0]))
    ]
    rates = [[p["first_executor_pass_rate"] for p in made] for made in proposals]
    _, change = interval("pass rate, last minus first", [values[-1] - values[0] for values in rates])
    labels = min(p["label_accuracy"] for made in proposals for p in made)
    kept = [fmean(p["kept"] for p in column) for column in zip(*proposals, strict=True)]
    bars = {
        "gain's interval above 0": gain > 0,
        "each iteration's interval above 0": all(low > 0 for low, _ in steps),
        "mean pass rate falls": change < 0,
        f"labels right, at least {LABELS:g} (least {labels:.3f})": labels >= LABELS,
        f"tasks, at least {TASKS:g} of the first (least {min(kept) / kept[0]:.2f})": min(kept) >= TASKS * kept[0],
    }
    for name, met in bars.items():
        console.print(f"{'met   ' if met else 'missed'}  {name}")
    return int(check and not all(bars.values()))


def table(summaries: list[dict[str, Any]]) -> Table:
    """A row for each seed: accuracy of every executor, the labels and the tasks of every iteration."""
    made = Table(title="Embedded evolution by seed", title_justify="left")
    for column in ("seed", "accuracy", "labels right", "tasks kept", "1st exec.", "seconds"):
        made.add_column(column, justify="right")
    for summary in summaries:
        proposals = [record["proposals"] for record in summary["iterations"][1:]]
        made.add_row(
            str(summary["seed"]),
            " ".join(f"{record['executor']['accuracy']:.3f}" for record in summary["iterations"]),
            " ".join(f"{p['label_accuracy']:.2f}" for p in proposals),
            " ".join(str(p["kept"]) for p in proposals),
            " ".join(f"{p['first_executor_pass_rate']:.2f}" for p in proposals),
            f"{summary['seconds']:.0f}",
        )
    return made


def print_rounds(console: Console, rounds: list[list[dict[str, Any]]]) -> None:
    """Print the mean accuracy of each level over the seeds, iteration by iteration."""
    levels = list(rounds[0][0]["executor"]["levels"])
    made = Table(title="By level, means over seeds", title_justify="left")
    for column in ("iteration", "all", *levels):
        made.add_column(column, justify="right")
    for records in zip(*rounds, strict=True):
        scores = [record["executor"] for record in records]
        by_level = (fmean(score["levels"][level]["accuracy"] for score in scores) for level in levels)
        values = (fmean(score["accuracy"] for score in scores), *by_level)
        made.add_row(str(records[0]["iteration"]), *(f"{value:.3f}" for value in values))
    console.print(made)


def interval(name: str, values: list[float]) -> tuple[float, float]:
    """Print a mean with its t interval over seeds; return the lower end and the mean."""
    mean, half = t_interval(values)
    Console().print(f"{name}: {mean:+.3f} (95 % over {len(values)} seeds: {mean - half:+.3f} to {mean + half:+.3f})")
    return mean - half, mean


if __name__ == "__main__":
    sys.exit(main())
