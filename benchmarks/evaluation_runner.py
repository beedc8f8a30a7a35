"""What the runner costs over the rollout engine: the same thousand samples of the embedded model through both."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import agent0.lean_transformers  # noqa: F401  # before anything that imports transformers
from agent0.config import load_config
from agent0.evaluation.conclusion import Subject, conclude, judge
from agent0.evaluation.preparation import Assignment, prepare
from agent0.evaluation.runner import open_stores, run_assignment
from agent0.progress import Progress
from agent0.rollout.backends import open_backend
from agent0.rollout.engine import Backend, Batch, ProgramRunner, RolloutEngine
from agent0.rollout.models import load_tokenizer
from agent0.sandbox import SandboxPool
from agent0.tiny.pretrain import ensure_base_model

SAMPLES_PER_QUESTION = 5
WINDOW = 500
ROUNDS = 3


def measure() -> tuple[int, float, float, float]:
    """Return samples, seconds of the engine, seconds of the runner (best of rounds in turn), seconds of what follows.

    What follows is scoring, the record and the log.
    """
    config = load_config("tiny", [f"evaluation.samples={SAMPLES_PER_QUESTION}", "evaluation.logs=true"])
    progress = Progress("pretraining", 0)
    model = ensure_base_model(
        config.model.tiny, lambda step, loss: progress.step(step, config.model.tiny.steps, "steps", {"loss": loss})
    )
    tokenizer = load_tokenizer(model)
    [assignment] = prepare(config.evaluation, config.rollout, tokenizer, 0)
    engine_seconds, runner_seconds = float("inf"), float("inf")
    with (
        tempfile.TemporaryDirectory() as temporary,
        SandboxPool(config.sandbox) as pool,
        open_backend(model, tokenizer, config.rollout, assignment.sampling, log=Path(temporary)) as backend,
    ):
        for number in range(ROUNDS):
            engine_seconds = min(engine_seconds, _engine(assignment, tokenizer, backend, pool))
            stores = open_stores([assignment], Path(temporary) / str(number), "digest")
            engine = RolloutEngine(tokenizer, backend, pool, assignment.budget)
            before = time.perf_counter()
            run_assignment(
                assignment, stores["tiny"], engine, tokenizer, window=WINDOW, progress=lambda assignment, done: None
            )
            runner_seconds = min(runner_seconds, time.perf_counter() - before)
        before = time.perf_counter()
        judged = judge([assignment], stores)
        subject = Subject("embedded", str(model), "digest")
        conclude(judged, subject, config.evaluation, config.rollout, 0, 0.0, Path(temporary))
        after = time.perf_counter() - before
    return assignment.total, engine_seconds, runner_seconds, after


def _engine(assignment: Assignment, tokenizer: Any, backend: Backend, pool: ProgramRunner) -> float:
    places = [(question, sample) for question in assignment.questions for sample in range(assignment.samples)]
    batches = [
        Batch(
            start,
            [question.prompt for question, _ in places[start : start + WINDOW]],
            seeds=[assignment.seed_of(*place) for place in places[start : start + WINDOW]],
        )
        for start in range(0, len(places), WINDOW)
    ]
    engine = RolloutEngine(tokenizer, backend, pool, assignment.budget)
    before = time.perf_counter()
    engine.run_batches(batches, lambda batch, trajectories: None)
    return time.perf_counter() - before
