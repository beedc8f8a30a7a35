"""Does the embedded evolution learn? Runs it over several seeds and prints means with 95 % intervals.

    python bench/tiny_evolution.py --seeds 3 [--check]

Reported over seeds: accuracy of the final executor minus the base model's on held-out questions, and the first
executor's pass rate on the proposals of the last iteration minus that of the first (negative: they became harder).
With --check it exits with 1 unless the first interval lies above zero and the second difference is negative.
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
from typing import Any

from rich.console import Console
from rich.table import Table

from agent0.report.ablation import t_interval


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
    """Print the table and the two differences; return the exit status."""
    table = Table(title="Embedded evolution by seed", title_justify="left")
    for column in ("seed", "base", "final", "gain", "1st exec. iter 1", "last iter", "change", "labels", "seconds"):
        table.add_column(column, justify="right")
    gains, changes = [], []
    for summary in summaries:
        base, *_, final = summary["iterations"]
        first, last = summary["iterations"][1]["proposals"], final["proposals"]
        gains.append(final["executor"]["accuracy"] - base["executor"]["accuracy"])
        changes.append(last["first_executor_pass_rate"] - first["first_executor_pass_rate"])
        labels = " ".join(f"{record['proposals']['label_accuracy']:.2f}" for record in summary["iterations"][1:])
        table.add_row(
            str(summary["seed"]),
            f"{base['executor']['accuracy']:.3f}",
            f"{final['executor']['accuracy']:.3f}",
            f"{gains[-1]:+.3f}",
            f"{first['first_executor_pass_rate']:.3f}",
            f"{last['first_executor_pass_rate']:.3f}",
            f"{changes[-1]:+.3f}",
            labels,
            f"{summary['seconds']:.0f}",
        )
    console = Console()
    console.print(table)
    gain_low, change_low = (
        interval("final minus base accuracy", gains),
        interval("pass rate, last minus first", changes),
    )
    console.print(f"largest process: {peak:.0f} MiB resident")
    passed = gain_low[0] > 0 and change_low[1] < 0
    console.print("bar (gain's interval above 0, mean pass rate falls): " + ("met" if passed else "missed"))
    return int(check and not passed)


def interval(name: str, values: list[float]) -> tuple[float, float]:
    """Print a mean with its t interval over seeds; return the lower end and the mean."""
    mean, half = t_interval(values)
    Console().print(f"{name}: {mean:+.3f} (95 % over {len(values)} seeds: {mean - half:+.3f} to {mean + half:+.3f})")
    return mean - half, mean


if __name__ == "__main__":
    sys.exit(main())
