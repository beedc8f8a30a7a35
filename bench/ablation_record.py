"""The record of an ablation's run that ended: all that the table and the checks need, small enough to be committed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors.torch import load_file

from agent0.config import Config
from agent0.report.history import History
from agent0.stages.open_history import read_history
from agent0.storage.atomic_file import write_json


class Record(BaseModel):
    """What one run came to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    settings: list[str] = Field(description="Of the run, as `--set` takes them; but not where a warm model lies.")
    code_version: str
    final: float = Field(description="Accuracy of the last executor.")
    gain: float = Field(description="That accuracy minus the first model's under the same protocol.")
    label_accuracy: float | None = Field(description="Share of right labels in the band, of the last round.")
    kept: int | None = Field(description="Tasks that were trained on in the last round.")
    updates: int = Field(description="Optimizer steps of the executor.")
    samples: int = Field(description="Trajectories of both agents, without evaluations, probes, audits and redraws.")
    minutes: float = Field(description="From begin to end, with all else that the machine did.")
    traces: dict[str, float] = Field(description="What the parts of the method left behind; 0: a part was not there.")


def read_record(path: Path, settings: Sequence[str]) -> Record | None:
    """Read the record of a run under these settings; None where there is none.

    Raises:
        SystemExit: the file holds something else, or a run under other settings.
    """
    if not path.is_file():
        return None
    try:
        record = Record.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise SystemExit(f"{path} is no record of a run: {error.errors()[0]['msg']}; remove it.") from error
    if record.settings != list(settings):
        raise SystemExit(f"{path} is of a run with other settings; choose another --records, or remove it.")
    return record


def write_record(path: Path, record: Record) -> None:
    """Write it, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, record.model_dump(mode="json"))


def measure(folder: Path, settings: Sequence[str]) -> Record:
    """Return the record of the run in `folder`.

    Raises:
        SystemExit: the layout of its artifacts is not known here.
    """
    history = read_history(folder)
    first, last = history.iterations[0], history.iterations[-1]
    return Record(
        settings=list(settings),
        code_version=history.code_version,
        final=last.executor.accuracy,
        gain=last.executor.accuracy - first.executor.accuracy,
        label_accuracy=last.proposals.label_accuracy if last.proposals else None,
        kept=last.proposals.kept if last.proposals else None,
        updates=sum(len(record.training.get("executor", ())) for record in history.iterations),
        samples=_samples(history),
        minutes=(history.finished_at - history.started_at) / 60,
        traces=_traces(history, folder),
    )


def _samples(history: History) -> int:
    config = Config.model_validate(history.config)
    curriculum, executor = config.curriculum, config.executor
    drawn = 0.0
    for record in history.iterations:
        steps = record.training.get("curriculum", ())
        proposed = len(steps) / curriculum.updates_per_step * curriculum.prompts_per_step * curriculum.group_size
        valid = [step["proposals/valid"] for step in steps if "proposals/valid" in step]
        drawn += proposed * (1 + curriculum.executor_samples * fmean(valid or [0.0]))
        batches = len(record.training.get("executor", ())) / executor.updates_per_step
        drawn += batches * executor.tasks_per_step * executor.group_size
        if record.proposals is not None:
            voted = sum(record.proposals.self_consistency_histogram.values())
            drawn += record.proposals.generated + voted * config.execution.samples
    return round(drawn)


def _traces(history: History, folder: Path) -> dict[str, float]:
    rounds = [record.proposals for record in history.iterations if record.proposals is not None]
    curriculum = [step for record in history.iterations for step in record.training.get("curriculum", ())]
    executor = [step for record in history.iterations for step in record.training.get("executor", ())]
    examples = [example for record in history.iterations for example in record.examples]
    return {
        "proposer's changed tensors": float(_changed_tensors(folder)),
        "tool reward": _largest(curriculum, "reward/tool_use"),
        "repetition penalty": _largest(curriculum, "reward/repetition"),
        "ADPO metrics": float(sum(name.startswith("adpo/") for step in executor for name in step)),
        "second programs": float(sum(max(0, example.tool_calls - 1) for example in examples)),
        "executor's tool calls": sum(record.executor.tool_calls for record in history.iterations)
        + sum(proposals.tool_calls for proposals in rounds),
        "proposer's tool calls": sum(proposals.proposer_tool_calls for proposals in rounds)
        + sum(step.get("rollout/tool_calls", 0.0) for step in curriculum),
    }


def _changed_tensors(folder: Path) -> int:
    """Count the tensors of all trained curriculum agents of a run that are not bit for bit the base model's."""
    models: dict[str, list[Path]] = {"base_model": [], "curriculum_training": []}
    for report in folder.glob("artifacts/**/stage.json"):
        stage = json.loads(report.read_text(encoding="utf-8"))["stage"]
        if stage in models:
            models[stage].append(report.parent / "model.safetensors")
    if not all(models.values()):
        raise SystemExit(f"{folder} holds no base model or no curriculum agent; has the layout of artifacts changed?")
    base = load_file(models["base_model"][0])
    return sum(
        not torch.equal(tensor, base[name])
        for path in models["curriculum_training"]
        for name, tensor in load_file(path).items()
    )


def _largest(steps: Sequence[Mapping[str, float]], name: str) -> float:
    """Return the largest value of a metric over steps; 0 where no step has it."""
    return max((step[name] for step in steps if name in step), default=0.0)
