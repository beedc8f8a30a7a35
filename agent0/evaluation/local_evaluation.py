"""A whole evaluation in this process: draw what is missing, judge it, write the record."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from agent0.benchmarks.spec import file_name
from agent0.config import Config, RolloutSettings, SamplingSettings
from agent0.errors import UsageError
from agent0.evaluation.assignments import Assignment, check_room, prepare
from agent0.evaluation.conclusion import Subject, conclude, judge
from agent0.evaluation.fitting import Fitted, settings_for
from agent0.evaluation.inspect_log import require_inspect
from agent0.evaluation.registered_evaluations import record_on_version
from agent0.evaluation.results import REPORT_FILE, EvaluationReport, read_report
from agent0.evaluation.sample_runner import Keeper, engine_seed, open_stores, run_assignments
from agent0.evaluation.sample_store import FINGERPRINT_FILE, SampleRecord, SampleStore, sample_files
from agent0.evaluation.scorecard import invalid_samples
from agent0.rollout.backends import open_backend
from agent0.rollout.drawing_watch import NOBODY, Watch
from agent0.rollout.engine import Backend
from agent0.rollout.model_folders import load_tokenizer
from agent0.rollout.tokens import model_positions
from agent0.sandbox import open_sandbox
from agent0.storage.digest import model_digest
from agent0.storage.transfer_threads import ProgressCallback
from agent0.storage.uri_files import OutputFolder, output_folder
from agent0.tracking.model_source import FoundModel, found_model

MOSTLY = 0.5
"""Share of invalid samples from which on a score says more of the answers' form than of the model."""
INVALID_SHOWN = 3
"""Samples that are looked at where most are invalid."""
Shown = Callable[[Sequence[Assignment], dict[str, SampleStore]], AbstractContextManager[Callable[[Assignment], Watch]]]
"""Opens what shows the drawing, and gives the watch of each benchmark's samples."""


@dataclass(frozen=True)
class Evaluated:
    """The record of an evaluation, and a few samples of each benchmark whose samples are mostly invalid."""

    report: EvaluationReport
    invalid: Mapping[str, Sequence[SampleRecord]]


@contextmanager
def unshown(
    assignments: Sequence[Assignment], stores: dict[str, SampleStore]
) -> Iterator[Callable[[Assignment], Watch]]:
    """Show nothing; see `Shown`."""
    yield lambda _: NOBODY


def check_output(output: OutputFolder, benchmarks: Sequence[str], *, resume: bool) -> None:
    """Check that an evaluation may be written to `output`.

    Raises:
        UsageError: it holds one that is not to be gone on with, or the record of other benchmarks.
    """
    recorded = (output.folder / REPORT_FILE).is_file()
    begun = [name for name in benchmarks if (output.folder / file_name(name) / FINGERPRINT_FILE).is_file()]
    if not resume and (begun or recorded):
        of = f" of {begun[0]}" if begun else ""
        raise UsageError(
            f"{output.place} already holds an evaluation{of}; add --resume to go on with it, or name another --output."
        )
    earlier = [score.benchmark for score in read_report(str(output.folder)).benchmarks] if recorded else benchmarks
    if sorted(earlier) != sorted(benchmarks):
        raise UsageError(
            f"{output.place} holds a finished evaluation of {', '.join(earlier)}, and the record of "
            f"{', '.join(benchmarks)} would take its place; name another --output, or the same benchmarks."
        )


@contextmanager
def opened(
    config: Config,
    model: str,
    output: str,
    recipe: str,
    given: Sequence[str],
    ablations: Sequence[str] | None = None,
    *,
    resume: bool,
    progress: ProgressCallback | None = None,
) -> Iterator[tuple[Fitted, FoundModel, OutputFolder]]:
    """Yield the settings that fit a model, the model, and the folder that its evaluation may be written to.

    Args:
        config: what was asked for, checked; read with another recipe where none was named.
        model: any name of a model.
        output: folder or s3:// place.
        recipe: the one that was asked for; empty: what fits the model.
        given: overrides of single settings.
        ablations: parts of the method to leave out.
        resume: whether to go on with what `output` holds.
        progress: told how far the model is fetched.

    Raises:
        UsageError: `output` holds another evaluation, or a setting is wrong.
        Agent0Error: there is no such model, or its place does not answer.
    """
    benchmarks = config.evaluation.benchmarks
    pieces = [piece for name in benchmarks for piece in sample_files(name)]
    wanted = config.model.model_copy(update={"source": model})
    with output_folder(output, resume=resume, pieces=pieces) as place:
        check_output(place, benchmarks, resume=resume)
        with found_model(wanted, progress) as found:
            yield settings_for(found.folder, recipe, given, ablations), found, place


def evaluate_model(
    config: Config, found: FoundModel, name: str, output: OutputFolder, seed: int, shown: Shown = unshown
) -> Evaluated:
    """Score a model on the benchmarks of `config`; samples that `output` holds already are not drawn again.

    Args:
        config: all settings.
        found: the model.
        name: of the model in tables.
        output: gets the record, the verdicts, every sample and, if `evaluation.logs` says so, logs for `inspect view`.
        seed: of the sampling.
        shown: shows what is drawn.

    Raises:
        UsageError: a benchmark's answers do not fit the model's positions, or the output is of other settings.
        ResultsError: a benchmark's rows are missing or broken.
    """
    import torch  # what is refused before needs none

    began = time.time()
    if config.evaluation.logs:
        require_inspect()
    tokenizer, gpus = load_tokenizer(found.folder), torch.cuda.device_count()
    assignments = prepare(config.evaluation, config.rollout, tokenizer, seed)
    check_room(assignments, model_positions(found.folder))
    digest = model_digest(found.folder)
    stores = open_stores(assignments, output.folder, digest, config.rollout, config.sandbox)

    def backend(budget: RolloutSettings, sampling: SamplingSettings) -> AbstractContextManager[Backend]:
        return open_backend(
            found.folder, tokenizer, budget, sampling, log=output.folder, seed=engine_seed(seed, stores.values())
        )

    def keep(benchmark: str) -> None:
        for piece in sample_files(benchmark):
            output.keep(piece)

    needed, keeper = any(assignment.tool for assignment in assignments), Keeper(keep)
    with shown(assignments, stores) as watches, open_sandbox(config.sandbox, needed=needed) as tool:
        run_assignments(assignments, stores, backend, tokenizer, tool, config.rollout, keeper.show, watches)
    judged = judge(assignments, stores, gpus)
    subject = Subject(name, found.source, digest, gpus)
    report = conclude(judged, subject, config.evaluation, config.rollout, seed, began, output.folder)
    output.store()
    record_on_version(report, output.folder, found.source, output.place)
    invalid = {
        assignment.benchmark.name: invalid_samples(outcomes, INVALID_SHOWN)
        for assignment, score, outcomes in judged
        if score.rates["invalid"].mean >= MOSTLY
    }
    return Evaluated(report, invalid)
