"""What `agent0 evaluate` costs over the rollout engine: the same thousand samples of the embedded model through both.

What counts is sampling with every sample kept, the record, and the log for `inspect view`; scoring is measured beside
it. Not counted is what happens once whatever the number of samples: imports, and the start of the grader's processes.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from agent0.answers import close_default_grader, default_grader, equivalent
from agent0.config import Config, load_config
from agent0.evaluation.assignments import Assignment, prepare
from agent0.evaluation.conclusion import Subject, conclude, judge
from agent0.evaluation.sample_runner import open_stores, run_assignment
from agent0.progress import Progress
from agent0.rollout.backends import open_backend
from agent0.rollout.batches import Batch
from agent0.rollout.engine import Backend, RolloutEngine
from agent0.rollout.model_folders import load_tokenizer
from agent0.sandbox import SandboxPool
from agent0.tiny.pretrain import ensure_base_model
from agent0.tools import ProgramRunner

SAMPLES_PER_QUESTION = 5
WINDOW = 500
ROUNDS = 3


@dataclass(frozen=True)
class Seconds:
    """Seconds of one round: of the engine alone, and of the parts of an evaluation of the same samples."""

    samples: int
    engine: float
    sampling: float
    scoring: float
    record: float
    log: float

    @property
    def overhead(self) -> float:
        """Overhead over the engine of sampling through the runner and of what it writes at the end."""
        return (self.sampling + self.record + self.log) / self.engine - 1

    @property
    def written(self) -> float:
        """The part of the overhead that the sampling's own variation from run to run does not touch."""
        return (self.record + self.log) / self.engine


def measure() -> Seconds:
    """Return the best seconds of every part over some rounds, in which engine and evaluation take turns."""
    config = load_config("tiny", [f"evaluation.samples={SAMPLES_PER_QUESTION}"])
    progress = Progress("pretraining", 0)
    model = ensure_base_model(
        config.model.tiny, lambda step, loss: progress.step(step, config.model.tiny.steps, "steps", {"loss": loss})
    )
    tokenizer = load_tokenizer(model)
    [assignment] = prepare(config.evaluation, config.rollout, tokenizer, 0)
    import inspect_ai.log  # noqa: F401  # start-up: its import takes seconds

    rounds = []
    with (
        tempfile.TemporaryDirectory() as temporary,
        SandboxPool(config.sandbox) as pool,
        open_backend(model, tokenizer, config.rollout, assignment.sampling, log=Path(temporary), seed=0) as backend,
    ):
        for number in range(ROUNDS):
            folder = Path(temporary) / str(number)
            engine = _engine(assignment, tokenizer, backend, pool)
            rounds.append(replace(_evaluation(config, assignment, tokenizer, backend, pool, folder), engine=engine))
    parts = ("engine", "sampling", "scoring", "record", "log")
    return Seconds(assignment.total, **{part: min(getattr(seconds, part) for seconds in rounds) for part in parts})


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


def _evaluation(
    config: Config, assignment: Assignment, tokenizer: Any, backend: Backend, pool: ProgramRunner, folder: Path
) -> Seconds:
    close_default_grader()
    default_grader.cache_clear()  # no verdict of an earlier round is known
    equivalent("x+1", "1+x")  # needs a worker, so its processes start
    engine = RolloutEngine(tokenizer, backend, pool, assignment.budget)
    subject = Subject("embedded", "tiny", "digest")
    times = [time.perf_counter()]
    stores = open_stores([assignment], folder, "digest", config.rollout, config.sandbox)
    run_assignment(assignment, stores["tiny"], engine, tokenizer, window=WINDOW, kept=lambda assignment, done: None)
    times.append(time.perf_counter())
    judged = judge([assignment], stores)
    times.append(time.perf_counter())
    for logs in (False, True):
        settings = config.evaluation.model_copy(update={"logs": logs})
        conclude(judged, subject, settings, config.rollout, 0, 0.0, folder)
        times.append(time.perf_counter())
    sampling, scoring, record, both = (after - before for before, after in pairwise(times))
    return Seconds(assignment.total, 0.0, sampling, scoring, record, max(0.0, both - record))
