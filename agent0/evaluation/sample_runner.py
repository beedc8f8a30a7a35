"""The runner: every sample of a benchmark through the rollout engine, kept as it finishes, resumed sample by sample.

It adds no protocol of its own: prompts, tool loop and sandbox are those of training. Where the backend serves any
mixture, each sample is delivered and kept by itself. Where a batch must be whole (`transformers`), samples run in fixed
windows of `rollout.batch_size`: what is drawn together, and so every token, is then the same in every attempt. A window
that was interrupted is drawn again as a whole.
Leaves out scoring and what is written about it (`scorecard`, `inspect_log`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import groupby
from pathlib import Path
from typing import Any

from agent0.benchmarks.spec import file_name
from agent0.config import RolloutSettings, SamplingSettings, SandboxSettings
from agent0.evaluation.assignments import Assignment, Question
from agent0.evaluation.sample_store import SampleRecord, SampleStore
from agent0.rollout.batches import Batch
from agent0.rollout.drawing_watch import NOBODY, Watch
from agent0.rollout.engine import Backend, RolloutEngine, Throughput, TokenBudget
from agent0.seeds import derive_seed
from agent0.tools import ProgramRunner
from agent0.types import Trajectory

OpenBackend = Callable[[RolloutSettings, SamplingSettings], AbstractContextManager[Backend]]
"""Opens the model for trajectories within a budget, drawn by a sampling."""
Kept = Callable[[Assignment, int], None]
"""Told how many samples of an assignment are in its store."""
Watching = Callable[[Assignment], Watch]
"""Gives the watch of an assignment's samples."""
Place = tuple[Question, int]
KEEP_SECONDS = 120.0  # between copies of unfinished samples to another machine


class Keeper:
    """Copies the samples of a benchmark elsewhere now and then, and when they are all finished.

    Args:
        keep: copies those of the benchmark that it is told.
    """

    def __init__(self, keep: Callable[[str], None]) -> None:
        self._keep = keep
        self._kept = time.monotonic()

    def show(self, assignment: Assignment, done: int) -> None:
        """Take note of how many samples of a benchmark are finished."""
        if done == assignment.total or time.monotonic() - self._kept > KEEP_SECONDS:
            self._keep(assignment.benchmark.name)
            self._kept = time.monotonic()


def sample_folder(folder: Path, assignment: Assignment) -> Path:
    """Return where the samples of a benchmark lie."""
    return folder / file_name(assignment.benchmark.name)


def engine_seed(seed: int, stores: Iterable[SampleStore]) -> int:
    """Return the seed of an engine for what is drawn without one of its own; an evaluation that goes on has another."""
    return derive_seed(seed, "engine", sum(len(store.records) for store in stores))


def open_stores(
    assignments: Sequence[Assignment],
    folder: Path,
    model_digest: str,
    rollout: RolloutSettings,
    sandbox: SandboxSettings,
) -> dict[str, SampleStore]:
    """Open the store of every benchmark by name.

    Raises:
        UsageError: a store belongs to another evaluation, or to the same one with another engine.
    """
    drawn_by = {"model": model_digest, **_engine(rollout)}
    return {
        assignment.benchmark.name: SampleStore(
            sample_folder(folder, assignment),
            {**drawn_by, **(_limits(sandbox) if assignment.tool else {}), **assignment.fingerprint()},
        )
        for assignment in assignments
    }


def _engine(rollout: RolloutSettings) -> dict[str, Any]:
    """Return what decides a sample beside model and question; the window, where samples are drawn in windows."""
    from agent0.rollout.backends import weights_dtype

    windowed = ("batch_size", "compaction_interval") if rollout.backend == "transformers" else ()
    settings = {f"rollout.{name}": getattr(rollout, name) for name in ("backend", *windowed)}
    return {**settings, "dtype": weights_dtype(rollout)}


def _limits(sandbox: SandboxSettings) -> dict[str, Any]:
    """Return what decides a program's output; where, and how many run at once, does not."""
    return {f"sandbox.{name}": value for name, value in sandbox.model_dump(exclude={"endpoints", "workers"}).items()}


def run_assignments(
    assignments: Sequence[Assignment],
    stores: dict[str, SampleStore],
    open_backend: OpenBackend,
    tokenizer: Any,
    sandbox: ProgramRunner,
    rollout: RolloutSettings,
    kept: Kept,
    watching: Watching = lambda _: NOBODY,
) -> Throughput:
    """Draw every sample that its store lacks; the model is opened once for neighbours with the same sampling.

    Raises:
        Agent0Error: the model or the sandbox failed; what was finished is in the stores.
    """
    throughput = Throughput()
    pending = [a for a in assignments if len(stores[a.benchmark.name].records) < a.total]
    for sampling, grouped in groupby(pending, key=lambda assignment: assignment.sampling):
        group = list(grouped)
        with open_backend(widest(rollout, [assignment.budget for assignment in group]), sampling) as backend:
            for assignment in group:
                engine = RolloutEngine(tokenizer, backend, sandbox, assignment.budget)
                run_assignment(
                    assignment,
                    stores[assignment.benchmark.name],
                    engine,
                    tokenizer,
                    window=rollout.batch_size if backend.concurrency is None else None,
                    kept=kept,
                    watch=watching(assignment),
                )
                throughput.tokens += engine.throughput.tokens
                throughput.seconds += engine.throughput.seconds
    return throughput


def run_assignment(
    assignment: Assignment,
    store: SampleStore,
    engine: RolloutEngine,
    tokenizer: Any,
    *,
    window: int | None,
    kept: Kept,
    watch: Watch = NOBODY,
) -> None:
    """Draw the samples of one benchmark that the store lacks.

    Args:
        assignment: what to ask.
        store: what is finished; grows.
        engine: over a backend of the assignment's sampling and budget.
        tokenizer: the engine's.
        window: samples that are drawn together; None where each stands for itself.
        kept: told after every delivery.
        watch: told of samples and tokens as they are drawn.
    """
    began = time.monotonic()
    places = {
        key: batch
        for key, batch in enumerate(windows(assignment, window))
        if any((question.item.id, sample) not in store.records for question, sample in batch)
    }

    def deliver(batch: Batch, trajectories: list[Trajectory]) -> None:
        seconds = time.monotonic() - began
        store.add(
            [
                sample_record(assignment, place, trajectory, tokenizer, attempt=store.attempt, seconds=seconds)
                for place, trajectory in zip(places[batch.key], trajectories, strict=True)
                if (place[0].item.id, place[1]) not in store.records
            ]
        )
        kept(assignment, len(store.records))

    with store:
        engine.run_batches(
            (
                Batch(key, [q.prompt for q, _ in batch], seeds=[assignment.seed_of(q, sample) for q, sample in batch])
                for key, batch in places.items()
            ),
            deliver,
            watch,
        )


def windows(assignment: Assignment, window: int | None) -> Iterator[Sequence[Place]]:
    """Yield the places that are to be drawn together: `window` at a time, or each by itself."""
    places = [(question, sample) for question in assignment.questions for sample in range(assignment.samples)]
    size = window or 1
    for start in range(0, len(places), size):
        yield places[start : start + size]


def sample_record(
    assignment: Assignment, place: Place, trajectory: Trajectory, tokenizer: Any, *, attempt: int = 0, seconds: float
) -> SampleRecord:
    """Return what is kept of a trajectory."""
    question, sample = place
    drawn = sum(trajectory.mask)
    return SampleRecord(
        item=question.item.id,
        question=question.item.question,
        sample=sample,
        seed=assignment.seed_of(question, sample),
        text=trajectory.text,
        turns=_turns(trajectory, tokenizer) if trajectory.tool_calls else (),
        tool_calls=trajectory.tool_calls,
        finish=trajectory.finish,
        prompt_tokens=len(trajectory.prompt_ids),
        drawn_tokens=drawn,
        observed_tokens=len(trajectory.mask) - drawn,
        attempt=attempt,
        seconds=seconds,
    )


def _turns(trajectory: Trajectory, tokenizer: Any) -> tuple[str, ...]:
    """Return the text of each run of drawn or observed tokens."""
    runs = groupby(zip(trajectory.mask, trajectory.completion_ids, strict=True), key=lambda pair: pair[0])
    return tuple(str(tokenizer.decode([token for _, token in run], skip_special_tokens=True)) for _, run in runs)


def widest(rollout: RolloutSettings, budgets: Sequence[TokenBudget]) -> RolloutSettings:
    """Return settings whose token budget holds every trajectory within any of `budgets`."""
    return rollout.model_copy(
        update={
            "max_prompt_tokens": max(budget.prompt for budget in budgets),
            "max_response_tokens": max(budget.response for budget in budgets),
        }
    )
