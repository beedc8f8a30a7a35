"""Stage: the base model that both agents grow from, as a folder."""

from __future__ import annotations

from pathlib import Path

from agent0.config import EMBEDDED_MODEL, ModelSettings
from agent0.stages.session import Stage, StageResult
from agent0.storage.digest import MASTER_FILE
from agent0.tracking.model_source import copy_model


def run_base_model(stage: Stage, *, output: Path, model: ModelSettings) -> StageResult:
    """Put the model into `output`, whichever of its names `model.source` is (`agent0.tracking.model_source`).

    An alias of a registered model, or a package, is looked up now; the run's tag `agent0.model` says its version.

    Raises:
        UsageError: there is no such model.
        Agent0Error: the hub, the registry, the store or the package does not give the model.
    """
    unit = "pretraining steps" if model.source == EMBEDDED_MODEL else "bytes"
    source = copy_model(model, output, lambda done, total: stage.progress.step(done, total, unit))
    (output / MASTER_FILE).unlink(missing_ok=True)  # both agents begin with what is here, rounded or not
    stage.tracker.set_tags({"agent0.model": source})
    parameters = _check(output)
    return StageResult({"system/parameters": float(parameters)})


def _check(folder: Path) -> int:
    from agent0.rollout.model_folders import load_tokenizer, parameter_count, require_safetensors

    require_safetensors(folder)
    load_tokenizer(folder)
    return parameter_count(folder)
