"""Does the embedded evolution learn, and go on learning? Runs it over several seeds; means with 95 % intervals.

    python bench/tiny_evolution.py --seeds 5 --output runs/spiral [--oracle] [--check] [--set executor.steps=6]

Reported over seeds: what each iteration adds to the one before on held-out questions, in all and by level; the labels
and the number of tasks that each was trained on; how varied the questions are; how hard they are for the base model.
With --oracle each seed is also run with the truth for labels (filtering.truth = "label"): what the same loop learns
where no label is wrong. With --check it exits with 1 unless every bar is met; they are printed one by one. With
--output, finished runs are kept, and one that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from agent0.config import load_config
from agent0.report.ablation_effects import shown, t_interval

LABELS = 0.9
TASKS = 0.6
DIVERSITY = 0.1
SECONDS = 300
HARD_OPERANDS = 4
"""Levels of so many operands or more must end above the base model."""
ORACLE = "filtering.truth=label"

Summary = dict[str, Any]


class Bar(NamedTuple):
    """Something to reach, and whether it is."""

    name: str
    met: bool


def main() -> int:
    """Run, print, and judge if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="evolutions to run")
    parser.add_argument("--first-seed", type=int, default=0, help="seed of the first; the others follow it")
    parser.add_argument("--recipe", default="spiral", help="a recipe for the embedded model")
    parser.add_argument("--output", type=Path, help="folder that keeps the runs; a temporary one if not given")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.FIELD=VALUE", help="override a setting")
    parser.add_argument("--oracle", action="store_true", help="run each seed with the truth for labels, too")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar is missed")
    arguments = parser.parse_args()
    if arguments.seeds < 2:
        parser.error("an interval needs at least two seeds")
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.output or Path(temporary)
        runs = [folder / f"seed-{seed}" for seed in seeds]
        pairs = list(zip(runs, seeds, strict=True))
        summaries = [evolve(run, seed, arguments.set, recipe=arguments.recipe) for run, seed in pairs]
        oracles = [
            evolve(run.with_name(f"oracle-{run.name}"), seed, [*arguments.set, ORACLE], recipe=arguments.recipe)
            for run, seed in pairs
            if arguments.oracle
        ]
        console = Console()
        for table in (seed_table(summaries), level_table("By level", summaries)):
            console.print(table)
        if oracles:
            console.print(level_table("By level, trained on the truth", oracles))
        console.print(f"largest process: {max(map(peak_memory_mb, runs)):.0f} MiB resident")
    for sentence in differences(summaries, oracles):
        console.print(sentence, soft_wrap=True)
    found = list(bars(summaries, oracles))
    for bar in found:
        console.print(f"{'met   ' if bar.met else 'missed'}  {bar.name}", soft_wrap=True)
    return int(arguments.check and not all(bar.met for bar in found))


def evolve(
    output: Path, seed: int, overrides: Sequence[str] = (), ablations: Sequence[str] = (), *, recipe: str = "tiny"
) -> Summary:
    """Run one evolution in its own process, or go on with the one in `output`, and return its summary."""
    command = [sys.executable, "-m", "agent0", "evolve", "--output", str(output)]
    if (started := output / "run.json").is_file():
        config = load_config(recipe, [*overrides, f"seed={seed}"], ablations)
        if json.loads(started.read_text(encoding="utf-8"))["config"] != config.model_dump(mode="json"):
            raise SystemExit(f"{output} holds a run with other settings; choose another --output.")
        command.append("--resume")
        if has_ended(output, config.iterations):
            return read_summary(output)
    else:
        command += ["--recipe", recipe, "--seed", str(seed)]
        command += [part for override in overrides for part in ("--set", override)]
        command += [part for name in ablations for part in ("--ablation", name)]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{output.parent / 'mlflow.db'}"}
    output.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(command, check=True, env=environment)
    return read_summary(output)


def has_ended(output: Path, iterations: int) -> bool:
    """Whether the run in `output` has a summary of all its iterations."""
    return (output / "summary.json").is_file() and len(read_summary(output)["iterations"]) == iterations + 1


def read_summary(output: Path) -> Summary:
    """Return the summary of the run in `output`."""
    summary: Summary = json.loads((output / "summary.json").read_text(encoding="utf-8"))
    return summary


def peak_memory_mb(run: Path) -> float:
    """Return the largest resident size that any stage of a run reports of itself, MiB."""
    reports = [json.loads(path.read_text(encoding="utf-8")) for path in run.glob("artifacts/**/stage.json")]
    return max(float(report["peak_memory_mb"]) for report in reports)


def accuracies(summary: Summary, level: str = "") -> list[float]:
    """Return the accuracy of a run's executors, the base model first: on all held-out questions, or on a level's."""
    scores = [record["executor"] for record in summary["iterations"]]
    return [(score["levels"][level] if level else score)["accuracy"] for score in scores]


def levels_of(summary: Summary) -> list[str]:
    """Return the names of the levels, easiest first."""
    return list(summary["iterations"][0]["executor"]["levels"])


def proposals(summary: Summary, name: str) -> list[float]:
    """Return a number of the proposals of each iteration."""
    return [record["proposals"][name] for record in summary["iterations"][1:]]


def seed_table(summaries: Sequence[Summary]) -> Table:
    """A row for each seed: accuracy of every executor, the labels, the tasks and the variety of every iteration."""
    made = Table(title="Embedded evolution by seed", title_justify="left")
    columns: dict[str, Callable[[Summary], str]] = {
        "seed": lambda summary: str(summary["seed"]),
        "accuracy": lambda summary: _numbers(accuracies(summary), 3),
        "labels right": lambda summary: _numbers(proposals(summary, "label_accuracy"), 2),
        "kept": lambda summary: _numbers(proposals(summary, "kept"), 0),
        "valid": lambda summary: _numbers(proposals(summary, "valid"), 0),
        "distinct": lambda summary: _numbers(proposals(summary, "distinct"), 2),
        "clusters": lambda summary: _numbers(proposals(summary, "clusters"), 2),
        "1st exec.": lambda summary: _numbers(proposals(summary, "first_executor_pass_rate"), 2),
        "s": lambda summary: f"{summary['seconds']:.0f}",
    }
    for column in columns:
        made.add_column(column, justify="right")
    for summary in summaries:
        made.add_row(*(cell(summary) for cell in columns.values()))
    return made


def level_table(title: str, summaries: Sequence[Summary]) -> Table:
    """The mean accuracy of each level over the seeds, iteration by iteration."""
    made = Table(title=f"{title}, means over seeds", title_justify="left")
    levels = ["", *levels_of(summaries[0])]
    for column in ("iteration", *(level or "all" for level in levels)):
        made.add_column(column, justify="right")
    columns = [
        [f"{fmean(values):.3f}" for values in zip(*(accuracies(s, level) for s in summaries), strict=True)]
        for level in levels
    ]
    for number, row in enumerate(zip(*columns, strict=True)):
        made.add_row(str(number), *row)
    return made


def differences(summaries: Sequence[Summary], oracles: Sequence[Summary]) -> Iterator[str]:
    """Say what changed from iteration to iteration, on average over the seeds, with 95 % t intervals."""
    yield f"Mean differences ± 95 % over {len(summaries)} seeds:"
    yield f"  final minus base: {shown(gains(summaries))}"
    for number, values in enumerate(steps(summaries), 1):
        yield f"  iteration {number} minus the one before: {shown(values)}"
    for level in levels_of(summaries[0]):
        yield f"  {level}, final minus base: {shown(gains(summaries, level))}"
    rates = [proposals(summary, "first_executor_pass_rate") for summary in summaries]
    yield f"  base model's pass rate on proposals, last minus first iteration: {shown([r[-1] - r[0] for r in rates])}"
    for level in ("", *levels_of(summaries[0])) if oracles else ():
        missing = [
            accuracies(oracle, level)[-1] - accuracies(summary, level)[-1]
            for oracle, summary in zip(oracles, summaries, strict=True)
        ]
        yield f"  trained on the truth minus trained on votes, {level or 'all'}: {shown(missing)}"


def gains(summaries: Sequence[Summary], level: str = "") -> list[float]:
    """Return the final executor's accuracy minus the base model's, of each seed."""
    return [values[-1] - values[0] for values in (accuracies(summary, level) for summary in summaries)]


def steps(summaries: Sequence[Summary]) -> list[list[float]]:
    """Return for each iteration what it added to the one before, of each seed."""
    added = [[after - before for before, after in pairwise(accuracies(summary))] for summary in summaries]
    return [list(values) for values in zip(*added, strict=True)]


def bars(summaries: Sequence[Summary], oracles: Sequence[Summary]) -> Iterator[Bar]:
    """Judge the runs. A hard level that no run on the truth lifts above the base model is not asked for."""
    yield Bar("the whole gain's interval above 0", _above_zero(gains(summaries)))
    for number, values in enumerate(steps(summaries), 1):
        yield Bar(f"iteration {number}: its gain's interval above 0", _above_zero(values))
    hard = [level for level in levels_of(summaries[0]) if int(level.split("x")[0]) >= HARD_OPERANDS]
    for level in hard:
        if oracles and not _above_zero(gains(oracles, level)):
            yield Bar(f"{level}: out of reach, since training on the truth does not lift it either", True)
        else:
            yield Bar(f"{level}: the gain's interval above 0", _above_zero(gains(summaries, level)))
    rates = _means(summaries, "first_executor_pass_rate")
    yield Bar(f"the base model's mean pass rate on proposals falls ({_numbers(rates, 3)})", rates[-1] < rates[0])
    labels = min(min(proposals(summary, "label_accuracy")) for summary in summaries)
    yield Bar(f"labels right, at least {LABELS:g} in each iteration of each seed ({labels:.3f})", labels >= LABELS)
    kept = _means(summaries, "kept")
    share = min(kept) / kept[0]
    yield Bar(f"tasks kept, on average at least {TASKS:g} of the first iteration's ({share:.2f})", share >= TASKS)
    for name in ("distinct", "clusters"):
        varied = _means(summaries, name)
        change = varied[-1] / varied[0] - 1
        yield Bar(f"{name} within {DIVERSITY:.0%} of the first iteration's ({change:+.1%})", abs(change) <= DIVERSITY)
    slowest = max(summary["seconds"] for summary in summaries)
    yield Bar(f"each run within {SECONDS} s ({slowest:.0f})", slowest <= SECONDS)


def _means(summaries: Sequence[Summary], name: str) -> list[float]:
    return [fmean(values) for values in zip(*(proposals(summary, name) for summary in summaries), strict=True)]


def _above_zero(values: Sequence[float]) -> bool:
    mean, half = t_interval(values)
    return mean - half > 0


def _numbers(values: Sequence[float], digits: int) -> str:
    return " ".join(f"{value:.{digits}f}" for value in values)


if __name__ == "__main__":
    sys.exit(main())
