"""Does a real language model gain from evolving? Runs a recipe over several seeds and tests it against its warm start.

    python bench/language_model.py --seeds 3 --output runs/language-model [--check] [--set iterations=1]

Prints base, warm and each iteration with 95 % intervals, per seed and over all: held-out accuracy per family and per
benchmark, self-consistency, tool calls, share of tasks in the band, label accuracy where the truth is known, difficulty
of the proposals for the first executor. Then the paired test of the last iteration against the warm start: a question's
value is the mean over seeds, and the question is the unit. With --check it exits with 1 unless that test supports a
gain on every benchmark. A seed whose folder is there already is gone on with, so a killed run loses little.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from rich.console import Console
from rich.table import Table
from tiny_evolution import evolve, peak_memory_mb

from agent0.evaluation.results import REPORT_FILE, EvaluationReport, read_report
from agent0.evaluation.statistics import Interval, clustered_mean
from agent0.progress import read_events
from agent0.promotion.paired_tests import paired_bootstrap, sign_flip
from agent0.promotion.pairing import Verdicts, read_verdicts
from agent0.report import wording
from agent0.report.ablation_effects import t_interval
from agent0.report.history import History, ProposalStatistics
from agent0.report.multiple_tests import holm
from agent0.stages.open_history import read_history
from agent0.stages.session import read_report as read_stage
from agent0.storage.seal import is_intact

SIGNIFICANCE = 0.05
WARM = "warm"


@dataclass(frozen=True)
class Run:
    """One seed: its history, and the verdicts of each of its models by benchmark."""

    history: History
    reports: Mapping[str, EvaluationReport]
    verdicts: Mapping[str, Mapping[str, Verdicts]]

    @property
    def last(self) -> str:
        """Name of the last iteration."""
        return str(self.history.iterations[-1].iteration)


def main() -> int:
    """Run, print, and judge if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="evolutions to run, with seeds 0, 1, ...")
    parser.add_argument("--recipe", default="smollm2", help="a recipe with a warm start")
    parser.add_argument("--output", type=Path, default=Path("runs/language-model"), help="folder that keeps the runs")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.FIELD=VALUE", help="override a setting")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a gain is not supported")
    arguments = parser.parse_args()
    folders = [arguments.output / f"seed-{seed}" for seed in range(arguments.seeds)]
    for seed, folder in enumerate(folders):
        evolve(folder, seed, arguments.set, recipe=arguments.recipe)
    runs = [read_run(folder) for folder in folders]
    console = Console()
    for table in (course_table(runs), family_table(runs)):
        console.print(table)
    gains = paired_gains(runs)
    console.print(gain_table(runs, gains))
    seconds = ", ".join(f"{stage_seconds(folder):.0f}" for folder in folders)
    largest = max(map(peak_memory_mb, folders))
    console.print(f"seconds of each seed's stages: {seconds}; largest process {largest:.0f} MiB")
    supported = all(gain.difference.low > 0 and gain.adjusted < SIGNIFICANCE for gain in gains.values())
    console.print(
        f"The paired test {'supports' if supported else 'does not support'} a gain over the warm start on every "
        "benchmark."
    )
    return int(arguments.check and not supported)


def read_run(folder: Path) -> Run:
    """Read what a seed's evolution left in its folder."""
    reports, verdicts = {}, {}
    for path in folder.glob(f"artifacts/**/scores/{REPORT_FILE}"):
        if not is_intact(path.parent):
            continue  # a killed attempt; the task ran again
        stage = read_stage(path.parent)
        name = str(stage.iteration) if stage.iteration else WARM if stage.stage == "warm_evaluation" else "base"
        reports[name] = read_report(str(path))
        asked = [score.benchmark for score in reports[name].benchmarks]
        verdicts[name] = read_verdicts(str(path), reports[name], asked)
    course = sorted(reports, key=lambda name: (name != "base", name != WARM, name))
    return Run(read_history(folder), {name: reports[name] for name in course}, verdicts)


def stage_seconds(folder: Path) -> float:
    """Return the seconds that a seed's stages took; the time that a killed run stood still is not among them."""
    events = read_events((folder / "progress.jsonl").read_bytes())
    return sum(float(event["seconds"]) for event in events if event["kind"] == "end")


def course_table(runs: Sequence[Run]) -> Table:
    """The course of each seed."""
    table = Table(title="Each seed, percent (95 % over questions)", title_justify="left")
    for column in ("seed", "model", "all", "agreement", "calls", "valid", "in band", "kept", "labels", "1st exec."):
        table.add_column(column, justify="right")
    for run in runs:
        scores = {"base": run.history.before_warm_start, WARM: run.history.iterations[0].executor}
        scores |= {str(record.iteration): record.executor for record in run.history.iterations[1:]}
        proposals = {str(record.iteration): record.proposals for record in run.history.iterations}
        for name, score in scores.items():
            assert score is not None
            table.add_row(
                str(run.history.seed),
                name,
                _shown(Interval(score.accuracy, score.ci_low, score.ci_high)),
                f"{100 * score.self_consistency:.0f}",
                f"{score.tool_calls:.2f}",
                *_proposal_cells(proposals.get(name), run.history),
            )
    return table


def _proposal_cells(proposals: ProposalStatistics | None, history: History) -> list[str]:
    if proposals is None:
        return [""] * 5
    band = wording.kept_band(history)
    assert band is not None
    voted = proposals.self_consistency_histogram
    inside = sum(count for share, count in voted.items() if wording.in_band(float(share), band))
    labels = "–"
    if proposals.label_accuracy is not None:
        labels = f"{100 * proposals.label_accuracy:.0f} of {proposals.labelled_with_truth}"
    passes = proposals.first_executor_pass_rate
    return [
        f"{100 * proposals.valid / proposals.generated:.0f}",
        f"{100 * inside / max(1, sum(voted.values())):.0f}",
        str(proposals.kept),
        labels,
        "–" if passes is None else f"{100 * passes:.0f}",
    ]


def family_table(runs: Sequence[Run]) -> Table:
    """Accuracy by family of every benchmark, each question's value being the mean over seeds."""
    names = list(runs[0].reports)
    table = Table(title=f"Over {len(runs)} seeds, percent (95 % over questions)", title_justify="left")
    table.add_column("benchmark, family")
    for name in names:
        table.add_column(name, justify="right")
    for score in runs[0].reports[names[0]].benchmarks:
        families = {group for groups in score.groups.values() for group in groups}
        table.add_row(score.benchmark, *(_shown(_over_seeds(runs, name, score.benchmark)) for name in names))
        for family in sorted(families):
            cells = [fmean(_group(run.reports[name], score.benchmark, family) for run in runs) for name in names]
            table.add_row(f"  {family}", *(f"{100 * cell:.0f}" for cell in cells))
    return table


def _group(report: EvaluationReport, benchmark: str, family: str) -> float:
    score = report.score_of(benchmark)
    assert score is not None
    return next(groups[family].mean for groups in score.groups.values() if family in groups)


def _values(runs: Sequence[Run], name: str, benchmark: str) -> list[float]:
    """Return each question's accuracy, the mean over seeds, in one order of questions."""
    verdicts = [run.verdicts[name][benchmark] for run in runs]
    return [fmean(seed[question].accuracy for seed in verdicts) for question in sorted(verdicts[0])]


def _over_seeds(runs: Sequence[Run], name: str, benchmark: str) -> Interval:
    return clustered_mean(_values(runs, name, benchmark))


@dataclass(frozen=True)
class Gain:
    """Last iteration minus warm start on one benchmark; `by_seed` has the difference of each seed."""

    difference: Interval
    p_value: float
    adjusted: float
    by_seed: tuple[float, ...]


def paired_gains(runs: Sequence[Run]) -> dict[str, Gain]:
    """Test the last iteration against the warm start on every benchmark; Holm's correction for their number."""
    found: dict[str, tuple[Interval, float, tuple[float, ...]]] = {}
    for score in runs[0].reports[WARM].benchmarks:
        before = _values(runs, WARM, score.benchmark)
        after = _values(runs, runs[0].last, score.benchmark)
        by_seed = tuple(
            fmean(_values([run], run.last, score.benchmark)) - fmean(_values([run], WARM, score.benchmark))
            for run in runs
        )
        found[score.benchmark] = (paired_bootstrap(before, after), sign_flip(before, after), by_seed)
    adjusted = holm({name: p_value for name, (_, p_value, _) in found.items()})
    return {name: Gain(difference, p, adjusted[name], seeds) for name, (difference, p, seeds) in found.items()}


def gain_table(runs: Sequence[Run], gains: Mapping[str, Gain]) -> Table:
    """The paired test, and what the seeds alone say."""
    table = Table(title=f"Iteration {runs[0].last} minus warm start, points", title_justify="left")
    for column in ("benchmark", "gain (95 % over questions)", "p", "p, Holm", "by seed", "95 % over seeds"):
        table.add_column(column, justify="right")
    for name, gain in gains.items():
        over = "–"
        if len(gain.by_seed) > 1:
            mean, half = t_interval(gain.by_seed)
            over = _shown(Interval(mean, mean - half, mean + half), signed=True)
        seeds = " ".join(f"{100 * value:+.1f}" for value in gain.by_seed)
        shown = _shown(gain.difference, signed=True)
        table.add_row(name, shown, f"{gain.p_value:.4f}", f"{gain.adjusted:.4f}", seeds, over)
    return table


def _shown(interval: Interval, *, signed: bool = False) -> str:
    form = "+.1f" if signed else ".1f"
    return f"{100 * interval.mean:{form}} ({100 * interval.low:{form}} to {100 * interval.high:{form}})"


if __name__ == "__main__":
    sys.exit(main())
