"""Rates that a finished run measured, as a file that a plan reads.

A plan never mixes GPUs or model sizes: rates measured on one GPU model say nothing of another. What the stages must
report for this is named in `MEASURED_METRICS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from pydantic import Field

from agent0.config import Config, parse_section
from agent0.errors import Agent0Error, UsageError
from agent0.planning.architecture import Architecture, architecture_of
from agent0.planning.hardware import Cluster
from agent0.planning.placement import GENERATION_STAGES, TRAINING_STAGES, StageName, place
from agent0.planning.stage_demands import PlanRecord
from agent0.report.history import HISTORY_FILE, History
from agent0.storage.atomic_file import write_json
from agent0.storage.digest import STAGE_FILE
from agent0.storage.text_files import read_model
from agent0.storage.uri_files import read_file, read_folder, write_file
from agent0.types import StageReport

GENERATED_TOKENS = "system/generated_tokens"
GENERATION_SECONDS = "system/generation_seconds"
TRAINED_TOKENS = "system/trained_tokens"
TRAINING_SECONDS = "system/training_seconds"
MEASURED_METRICS = {
    GENERATED_TOKENS: "tokens that a generation stage's model, or the model in training, drew; no prompts",
    GENERATION_SECONDS: "wall-clock seconds in which it drew them, the engine's start and rewards left out",
    TRAINED_TOKENS: "tokens of the sequences that a training updated on, padding left out, over all processes",
    TRAINING_SECONDS: "wall-clock seconds of a training outside its rewards, and the rollouts that it waits for",
}
"""Metrics in a stage's report that rates are made of; a stage that lacks them adds nothing."""

SIZE_TOLERANCE = 0.1


class MeasuredRates(PlanRecord):
    """Tokens per second and GPU of one model size on one GPU model."""

    gpu: str
    model: str
    parameters: int = Field(gt=0)
    generated_per_second: float | None = Field(
        None, gt=0, description="Tokens that a frozen model draws per second and GPU, with vLLM."
    )
    policy_generated_per_second: float | None = Field(
        None, gt=0, description="The same of the model in training, where it draws in the settings measured."
    )
    trained_per_second: float | None = Field(None, gt=0, description="Tokens trained on per second and GPU.")
    source: str = Field(description="Which run measured this.")


class RatesFile(PlanRecord):
    """A file of measured rates."""

    version: int = Field(1, ge=1, le=1)
    rates: tuple[MeasuredRates, ...]

    def choose(self, cluster: Cluster, architecture: Architecture) -> MeasuredRates:
        """Return the rates for a GPU and a model size.

        Raises:
            UsageError: the file has none for them.
        """
        for rates in self.rates:
            alike = abs(rates.parameters / architecture.parameters - 1) <= SIZE_TOLERANCE
            if alike and rates.gpu == cluster.gpu.name:
                return rates
        held = ", ".join(f"{rates.model} on {rates.gpu}" for rates in self.rates) or "nothing"
        raise UsageError(
            f"The rates file holds no measurement of {architecture.name} on {cluster.gpu.name}, only: {held}. Leave "
            "out --rates for an estimate, or measure that pair."
        )


def read_rates(place: str) -> RatesFile:
    """Read a file, local or `s3://`, that `write_rates` or a person wrote.

    Raises:
        UsageError: there is none, or it is not such a file.
    """
    with read_file(place) as path:
        return read_model(path, RatesFile, place, noun="rates file", mended_by="--measure writes one (docs/plan.md)")


def write_rates(place: str, rates: Iterable[MeasuredRates]) -> None:
    """Write a rates file, local or `s3://`."""
    with write_file(place) as path:
        write_json(path, RatesFile(rates=tuple(rates)).model_dump())


def rates_from_history(run: str, cluster: Cluster) -> MeasuredRates:
    """Return what a finished run measured on the GPUs that it ran on.

    Args:
        run: folder of the run, local or `s3://`, with its history and the stages' reports below it.
        cluster: the GPUs that it ran on.

    Raises:
        Agent0Error: the folder holds no history; none of its stages reported what rates are made of; or one reported
            tokens in no time.
    """
    with read_folder(run, lambda name: PurePosixPath(name).name in (HISTORY_FILE, STAGE_FILE)) as folder:
        path = folder / HISTORY_FILE
        if not path.is_file():
            raise Agent0Error(f"{run} holds no history ({HISTORY_FILE} is missing); give the folder of a finished run.")
        advice = "give the folder of another finished run"
        history = read_model(path, History, noun="history of a run", mended_by=advice)
        files = sorted(folder.rglob(STAGE_FILE))
        reports = [read_model(file, StageReport, noun="report of a stage", mended_by=advice) for file in files]
    config = parse_section(Config, history.config)
    drawn = _rate(reports, GENERATION_STAGES, (GENERATED_TOKENS, GENERATION_SECONDS), config, cluster)
    by_policy = _rate(reports, TRAINING_STAGES, (GENERATED_TOKENS, GENERATION_SECONDS), config, cluster)
    trained = _rate(reports, TRAINING_STAGES, (TRAINED_TOKENS, TRAINING_SECONDS), config, cluster)
    if drawn is None and by_policy is None and trained is None:
        raise Agent0Error(
            f"No stage below {run} reported {GENERATED_TOKENS} or {TRAINED_TOKENS}, so it measured no rates; plan with "
            "estimates, or run again with a version that reports them."
        )
    architecture = architecture_of(config.model)
    return MeasuredRates(
        gpu=cluster.gpu.name,
        model=config.model.source,
        parameters=architecture.parameters,
        generated_per_second=drawn,
        policy_generated_per_second=by_policy,
        trained_per_second=trained,
        source=f"{folder.name}, {cluster}, code {history.code_version}",
    )


def _rate(
    reports: Sequence[StageReport],
    stages: Sequence[StageName],
    metrics: tuple[str, str],
    config: Config,
    cluster: Cluster,
) -> float | None:
    """Return tokens over GPU-seconds of all reports of `stages` that have both metrics; None where there are none."""
    tokens = gpu_seconds = 0.0
    for stage in stages:
        placement = place(config, stage, cluster.nodes, cluster.gpus_per_node)
        gpus = placement.trainers or placement.frozen_servers or placement.frozen_in_process
        if metrics[0] == GENERATED_TOKENS and placement.policy_servers:
            gpus = placement.policy_servers
        for report in reports:
            if report.stage == stage and all(name in report.metrics for name in metrics):
                made, seconds = (report.metrics[name] for name in metrics)
                if made and seconds <= 0:
                    raise Agent0Error(
                        f"The {stage} of iteration {report.iteration} reported {made:g} {metrics[0]} in {seconds:g} "
                        f"{metrics[1]}, which makes no rate; plan with estimates, or measure a run of this version."
                    )
                tokens += made
                gpu_seconds += seconds * gpus
    return tokens / gpu_seconds if tokens and gpu_seconds else None
