"""The promotion gate on evaluations in folders: what may be compared, the decision, and its record.

The decision itself is made by `agent0.promotion.gate`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from agent0.config import GateSettings
from agent0.errors import UsageError
from agent0.evaluation.results import EvaluationReport
from agent0.promotion.claims import Run
from agent0.promotion.gate import GateDecision, decide_promotion
from agent0.promotion.paired_tests import least_p_value
from agent0.promotion.pairing import pairing_obstacles, read_verdicts
from agent0.report.multiple_tests import holm

DECISION_FILE = "decision.json"


def gate_obstacles(champion: EvaluationReport, candidate: EvaluationReport, settings: GateSettings) -> list[str]:
    """Return, in sentences, why the gate cannot decide between two evaluations; empty where it can.

    A benchmark that only one of them ran is an obstacle: leaving out a benchmark must not hide a loss. So is one with
    too few questions to be significant whatever the verdicts are.
    """
    found = pairing_obstacles(champion, candidate)
    for one, other in ((champion, candidate), (candidate, champion)):
        missing = [score.benchmark for score in one.benchmarks if other.score_of(score.benchmark) is None]
        if missing:
            found.append(f"Only {one.name} ran {', '.join(missing)}.")
    least = holm({score.benchmark: least_p_value(score.questions) for score in candidate.benchmarks})
    for score in candidate.benchmarks:
        if least[score.benchmark] > settings.significance:
            found.append(
                f"{score.benchmark}: too few questions ({score.questions}): p is at least "
                f"{least[score.benchmark]:.2g} after the correction, whatever the verdicts, and the significance is "
                f"{settings.significance:g}."
            )
    return found


def decide_between(champion: Run, candidate: Run, settings: GateSettings, *, seed: int = 0) -> GateDecision:
    """Read the verdicts of two evaluations and decide whether the candidate replaces the champion.

    Raises:
        UsageError: the evaluations cannot be compared.
        ResultsError: verdicts are missing, or are not what the report says.
        StorageError: a store refuses or does not answer.
    """
    obstacles = gate_obstacles(champion.report, candidate.report, settings)
    if obstacles:
        raise UsageError(
            f"{candidate.place} and {champion.place} cannot be compared: {' '.join(obstacles)} Evaluate both with the "
            "same benchmarks and settings."
        )
    names = [score.benchmark for score in candidate.report.benchmarks]
    first, second = (read_verdicts(run.place, run.report, names) for run in (champion, candidate))
    return decide_promotion({name: first[name] for name in names}, second, settings, seed=seed)


def undecided(champion: EvaluationReport, candidate: EvaluationReport, settings: GateSettings) -> GateDecision | None:
    """Return the decision to keep a champion that a candidate cannot be compared with; None where it can."""
    obstacles = gate_obstacles(champion, candidate, settings)
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
