"""The promotion gate on evaluations in folders: what may be compared, the decision, and its record.

The decision itself is made by `agent0.evaluation.gate`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from agent0.errors import UsageError
from agent0.evaluation.gate import GateDecision, GateSettings, decide_promotion
from agent0.evaluation.pairing import pairing_obstacles, read_verdicts
from agent0.evaluation.report.claims import Run
from agent0.evaluation.results import EvaluationReport

DECISION_FILE = "decision.json"


def gate_obstacles(champion: EvaluationReport, candidate: EvaluationReport) -> list[str]:
    """Return, in sentences, why the gate cannot decide between two evaluations; empty where it can.

    A benchmark that only one of them ran is an obstacle: leaving out a benchmark must not hide a loss.
    """
    found = pairing_obstacles(champion, candidate)
    for one, other in ((champion, candidate), (candidate, champion)):
        missing = [score.benchmark for score in one.benchmarks if other.score_of(score.benchmark) is None]
        if missing:
            found.append(f"Only {one.name} ran {', '.join(missing)}.")
    found += [f"{s.benchmark}: one question is too few for a test." for s in candidate.benchmarks if s.questions < 2]
    return found


def decide_between(champion: Run, candidate: Run, settings: GateSettings, *, seed: int = 0) -> GateDecision:
    """Read the verdicts of two evaluations and decide whether the candidate replaces the champion.

    Raises:
        UsageError: the evaluations cannot be compared.
        ResultsError: verdicts are missing, or are not what the report says.
        StorageError: a store refuses or does not answer.
    """
    obstacles = gate_obstacles(champion.report, candidate.report)
    if obstacles:
        raise UsageError(
            f"{candidate.place} and {champion.place} cannot be compared: {' '.join(obstacles)} Evaluate both with the "
            "same benchmarks and settings."
        )
    names = [score.benchmark for score in candidate.report.benchmarks]
    first, second = (read_verdicts(run.place, run.report, names) for run in (champion, candidate))
    return decide_promotion({name: first[name] for name in names}, second, settings, seed=seed)


def undecided(champion: EvaluationReport, candidate: EvaluationReport) -> GateDecision | None:
    """Return the decision to keep a champion that a candidate cannot be compared with; None where it can."""
    obstacles = gate_obstacles(champion, candidate)
    if not obstacles:
        return None
    return kept(f"the candidate cannot be compared with it. {' '.join(obstacles)}")


def kept(why: str) -> GateDecision:
    """Return the decision to keep a champion without asking the gate."""
    reason = f"Keep the champion: {why}"
    return GateDecision(decision="keep", reason=reason, mean_gain=0.0, gains=(), losses=(), results=())


def decision_record(
    decision: GateDecision, champion: Run | None, candidate: Run, settings: GateSettings
) -> dict[str, Any]:
    """Return a decision as JSON values, with what it was about and under which thresholds."""
    return {
        "format": 1,
        **asdict(decision),
        "candidate": _named(candidate),
        "champion": None if champion is None else _named(champion),
        "settings": settings.model_dump(mode="json"),
    }


def _named(run: Run) -> dict[str, str | None]:
    return {
        "place": run.place,
        "name": run.report.name,
        "model": run.report.model,
        "revision": run.report.revision,
    }
