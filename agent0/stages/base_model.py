"""Stage: the base model that both agents grow from, as a folder."""

from __future__ import annotations

import shutil
from pathlib import Path

from agent0.config import ModelSettings
from agent0.errors import UsageError
from agent0.stages.session import Stage, StageResult
from agent0.storage.uri import is_in_s3
from agent0.tracking.model_source import copy_model, from_hub
from agent0.tracking.model_uri import is_model_uri


def provide_base_model(stage: Stage, output: Path, settings: ModelSettings) -> StageResult:
    """Put the model into `output`: the embedded one, a folder here or in a store, a registered version, or a hub's.

    An alias of a registered model is looked up now; the run's tag `agent0.model` says which version it was.

    Raises:
        UsageError: the folder holds no model, or its tokenizer has no chat template.
        Agent0Error: the hub, the registry or the store does not give the model.
    """
    source = settings.source
    if settings.source == "tiny":
        _embedded(stage, output, settings)
    elif is_model_uri(source) or is_in_s3(source):
        source = copy_model(source, output)
    elif Path(settings.source).expanduser().exists() or settings.source.startswith(("/", ".", "~")):
        _from_folder(Path(settings.source).expanduser(), output)
    else:
        from_hub(settings.source, output)
    stage.tracker.set_tags({"agent0.model": source})
    parameters = _check(output, settings.source)
    return StageResult({"system/parameters": float(parameters)})


def _embedded(stage: Stage, output: Path, settings: ModelSettings) -> None:
    import agent0.lean_transformers  # noqa: F401  # before anything that imports transformers
    from agent0.tiny.pretrain import ensure_base_model

    def report(step: int, loss: float) -> None:
        stage.progress.step(step, settings.tiny.steps, "pretraining steps", {"loss": loss})

    shutil.copytree(ensure_base_model(settings.tiny, report), output, dirs_exist_ok=True)


def _from_folder(source: Path, output: Path) -> None:
    if not (source / "config.json").is_file():
        raise UsageError(f"model.source {source} holds no model (no config.json); give the folder of a saved model.")
    shutil.copytree(source, output, dirs_exist_ok=True)


def _check(folder: Path, source: str) -> int:
    from agent0.rollout.models import load_tokenizer, parameter_count, require_safetensors

    require_safetensors(folder)
    load_tokenizer(folder)
    return parameter_count(folder)
