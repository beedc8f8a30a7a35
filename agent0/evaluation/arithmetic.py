"""The embedded benchmark: arithmetic questions that nothing was trained on, by difficulty level."""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean

from agent0.answers import Verdict, equivalent_many, majority_vote
from agent0.config import EvaluationSettings
from agent0.evaluation.statistics import clustered_mean
from agent0.report.history import ExecutorScores, Score
from agent0.rollout.agents import ExecutorAgent, mean_tool_calls
from agent0.tiny.grammar import LEVELS, ArithmeticWorld, held_out_questions
from agent0.types import Trajectory

QUESTION_SEED = 20_251_116  # fixed: every evaluation asks the same questions, whatever the run's seed


def evaluate_arithmetic(
    executor: ExecutorAgent,
    settings: EvaluationSettings,
    seed: int,
    on_finished: Callable[[int], None] | None = None,
) -> ExecutorScores:
    """Score an executor on the held-out questions: mean@k accuracy with intervals clustered by question."""
    questions = held_out_questions(LEVELS, settings.questions_per_level, QUESTION_SEED)
    flat = [question for level in questions.values() for question in level]
    solved = dict(zip(flat, executor.solve(flat, settings.samples, seed, on_finished), strict=True))
    levels = {level: _score({question: solved[question] for question in chosen}) for level, chosen in questions.items()}
    overall = _score(solved)
    return ExecutorScores(**overall.model_dump(), samples=settings.samples, levels=levels)


def _score(solved: dict[str, list[Trajectory]]) -> Score:
    world = ArithmeticWorld()
    accuracies = []
    for question, trajectories in solved.items():
        truth = world.known_answer(question) or ""
        verdicts = equivalent_many([(truth, trajectory.answer) for trajectory in trajectories])
        accuracies.append(fmean(verdict is Verdict.TRUE for verdict in verdicts))
    interval = clustered_mean(accuracies)
    votes = [majority_vote([t.answer for t in trajectories]) for trajectories in solved.values()]
    return Score(
        accuracy=interval.mean,
        ci_low=interval.low,
        ci_high=interval.high,
        n=len(solved),
        tool_calls=mean_tool_calls([t for trajectories in solved.values() for t in trajectories]),
        self_consistency=fmean(vote.self_consistency for vote in votes),
    )
