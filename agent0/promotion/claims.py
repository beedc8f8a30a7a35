"""What evaluations may claim: of each other by paired tests, of the paper only where intervals part.

Pure functions and sentences, shared by the page and the terminal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from agent0.benchmarks.catalogue import BENCHMARKS
from agent0.errors import UsageError
from agent0.evaluation.results import BenchmarkScore, EvaluationReport, ResultsError, read_report
from agent0.promotion.pairing import PairedResult, compare_paired, pairing_obstacles, read_verdicts, shared_benchmarks
from agent0.promotion.paper import BASES, COMPARED, ROWS, ReferenceRow
from agent0.report.intervals import Order, compare

SIGNIFICANCE = 0.05
_TITLES = {benchmark.name: benchmark.title for benchmark in BENCHMARKS}
_ORDER = {name: number for number, name in enumerate(dict.fromkeys([*COMPARED, *_TITLES]))}


@dataclass(frozen=True)
class Run:
    """An evaluation and the place that it was read from."""

    place: str
    report: EvaluationReport

    @property
    def setting(self) -> str:
        """Preset and tool, as in a table."""
        return f"{self.report.preset}, {'with tool' if self.report.tool else 'no tool'}"


@dataclass(frozen=True)
class Against:
    """A later run against the first, question by question; `obstacles` say why there are no results."""

    first: Run
    second: Run
    results: tuple[PairedResult, ...]
    obstacles: tuple[str, ...]


def read_runs(places: Sequence[str]) -> list[Run]:
    """Read evaluations, oldest first.

    Raises:
        UsageError: no place.
        ResultsError: a place holds no evaluation.
        StorageError: a store refuses or does not answer.
    """
    if not places:
        raise UsageError("Name at least one output folder of `agent0 evaluate`.")
    runs = [Run(place, read_report(place)) for place in places]
    return sorted(runs, key=lambda run: run.report.finished_at)


def title(benchmark: str) -> str:
    """Return a benchmark's title; its name where the catalogue does not know it."""
    return _TITLES.get(benchmark, benchmark)


def benchmarks_of(runs: Sequence[Run]) -> list[str]:
    """Return every benchmark that a run has, those of the paper first and in its order."""
    names = dict.fromkeys(score.benchmark for run in runs for score in run.report.benchmarks)
    return sorted(names, key=lambda name: _ORDER.get(name, len(_ORDER)))


def references(runs: Sequence[Run], base: str | None = None) -> list[ReferenceRow]:
    """Return the paper's rows for a base model: the one named, else those whose size the runs' models name, else all.

    Raises:
        UsageError: the paper has no such base model.
    """
    if base is not None and base not in BASES:
        raise UsageError(f"The paper has no base model {base!r}; it has {', '.join(BASES)}.")
    models = " ".join(f"{run.report.model} {run.report.name}" for run in runs).lower()
    named = [name for name in BASES if name.split("-")[1] in models]
    chosen = [base] if base else named or list(BASES)
    return [row for row in ROWS if row.base in chosen]


def against_paper(run: Run, score: BenchmarkScore | None, row: ReferenceRow) -> Order:
    """Return where a score lies beside the paper's figure; `none` where they are not to be compared.

    Only the preset `paper` asks as the paper did. A figure of ours is that of the rule.
    """
    theirs = row.interval(score.benchmark) if score else None
    if score is None or theirs is None or run.report.preset != "paper":
        return "none"
    return compare(theirs, score.score)


def paper_finding(run: Run, row: ReferenceRow) -> str:
    """Return one sentence on a run beside a row of the paper."""
    report = run.report
    found: dict[Order, list[str]] = {"above": [], "below": [], "overlap": [], "none": []}
    for score in report.benchmarks:
        found[against_paper(run, score, row)].append(title(score.benchmark))
    if report.preset != "paper":
        return f"{report.name} ran the preset {report.preset}; the paper did not, so nothing is compared with it."
    counted = sum(len(found[kind]) for kind in ("above", "below", "overlap"))
    if not counted:
        return f"{report.name} ran no benchmark of the paper, so nothing is compared with it."
    parts = [f"{kind} it on {', '.join(found[kind])}" for kind in ("above", "below") if found[kind]]
    if found["overlap"]:
        listed = ", ".join(found["overlap"])
        parts.append(f"not told apart from it on {listed}, where the intervals overlap")
    tools = ""
    if row.tool != report.tool:
        tools = (
            ", which ran with the tool that ours lacked" if row.tool else ", which ran without the tool that ours had"
        )
    return f"Beside the paper's {row.method} on {row.base}{tools}, {report.name} is {'; '.join(parts)}."


def pair_runs(runs: Sequence[Run]) -> list[Against]:
    """Compare every later run with the first, on the benchmarks that both ran."""
    return [_pair(runs[0], later) for later in runs[1:]]


def _pair(first: Run, second: Run) -> Against:
    obstacles = pairing_obstacles(first.report, second.report)
    if obstacles:
        return Against(first, second, (), tuple(obstacles))
    names = shared_benchmarks(first.report, second.report)
    try:
        verdicts = [read_verdicts(run.place, run.report, names) for run in (first, second)]
        results = compare_paired({name: verdicts[0][name] for name in names}, verdicts[1])
    except (ResultsError, UsageError) as error:
        return Against(first, second, (), (str(error),))
    return Against(first, second, results, ())


def pair_finding(against: Against) -> str:
    """Return one sentence on a later run beside the first."""
    first, second = against.first.report.name, against.second.report.name
    if against.obstacles:
        return f"{second} and {first} are not compared: {' '.join(against.obstacles)}"
    shown = {result.benchmark: result_relation(result) for result in against.results}
    counts = Counter(shown.values())
    if counts["overlap"] == len(shown):
        return f"No difference between {second} and {first} is shown on any of {len(shown)} benchmarks."
    everywhere = next((word for word in ("above", "below") if counts[word] == len(shown) > 2), None)
    if everywhere:
        return f"{second} is {everywhere} {first} on all {len(shown)} benchmarks, question by question."
    parts = [
        f"{word} on {', '.join(title(name) for name, kind in shown.items() if kind == word)}"
        for word in ("above", "below")
        if counts[word]
    ]
    same = [title(name) for name, kind in shown.items() if kind == "overlap"]
    rest = f"; no difference is shown on {', '.join(same)}" if same else ""
    return f"{second} is {' and '.join(parts)}, question by question against {first}{rest}."


def result_relation(result: PairedResult) -> Order:
    """Return what a paired test shows after the correction for several benchmarks."""
    if result.adjusted > SIGNIFICANCE or result.difference.mean == 0:
        return "overlap"
    return "above" if result.difference.mean > 0 else "below"
