"""Models are handed on rounded, and trained on from what they were rounded from."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from stage_training import train_in_stage

from agent0.config import ModelSettings
from agent0.errors import Agent0Error, UsageError
from agent0.stages import Stage
from agent0.stages.executor_training import HEADLINE
from agent0.stages.masters import check_workspace, drop_masters, to_train_on
from agent0.storage import transfer
from agent0.storage.digest import MASTER_FILE, model_digest
from agent0.training.training_job import TrainingJob

_spec = importlib.util.spec_from_file_location(
    "training_fixtures", Path(__file__).parents[1] / "training" / "conftest.py"
)
assert _spec is not None
assert _spec.loader is not None
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)
half_trained, make_job = _fixtures.half_trained, _fixtures.make_job

MakeJob = Callable[..., TrainingJob]
ROUNDED = ModelSettings(handed_on="bfloat16")


def stage(iteration: int, evolution: str = "evolution-1") -> Stage:
    return replace(Stage.untracked("executor_training", iteration), evolution_id=evolution)


def trained(job: TrainingJob, base: Path, iteration: int, evolution: str = "evolution-1") -> Path:
    output = job.output.with_name(f"output-{iteration}-{evolution}")
    algorithm = job.algorithm.model_copy(update={"steps": 1})
    given = {"base": base, "output": output, "model": ROUNDED, "algorithm": algorithm, "headline": HEADLINE}
    train_in_stage(job, stage(iteration, evolution), **given)
    return output


def weights(folder: Path) -> dict[str, Any]:
    return load_file(folder / "model.safetensors")


def test_the_next_round_goes_on_from_the_weights_that_were_trained(
    make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "workspace"
    monkeypatch.setenv("AGENT0_WORKSPACE", str(root))
    job = make_job("job")
    first = trained(job, job.base, 1)
    master = root / "evolution-1" / "masters" / "1-executor_training"
    exact, rounded = weights(master), weights(first)
    assert {tensor.dtype for tensor in exact.values()} == {torch.float32}
    assert all(torch.equal(rounded[name], exact[name].to(torch.bfloat16)) for name in exact)
    assert any(not torch.equal(rounded[name].float(), exact[name]) for name in exact)
    assert not list(first.parent.glob("*.master"))

    shutil.copytree(master, tmp_path / "master")
    second = trained(job, first, 2)
    from_exact = trained(job, tmp_path / "master", 2, "evolution-2")
    assert model_digest(second) == model_digest(from_exact) != model_digest(first)

    drop_masters(stage(2), (second,))
    assert transfer.entries(f"{root}/evolution-1/masters") == ["2-executor_training"]


def test_a_model_is_the_same_wherever_its_master_is(make_job: MakeJob, tmp_path: Path) -> None:
    base = make_job("job").base
    noted = tmp_path / "noted"
    shutil.copytree(base, noted)
    (noted / MASTER_FILE).write_text('{"evolution": "evolution-1", "name": "1-executor_training"}')
    assert model_digest(noted) == model_digest(base)


def test_a_master_that_is_gone_is_refused_in_its_evolution_and_said_in_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT0_WORKSPACE", str(tmp_path / "workspace"))
    (tmp_path / MASTER_FILE).write_text('{"evolution": "evolution-1", "name": "1-executor_training"}')
    with pytest.raises(Agent0Error, match=r"float32 weights behind it are not at .*masters/1-executor_training\. Set"):
        to_train_on(stage(2), tmp_path, tmp_path / "fetched")
    warned: list[str] = []
    other = stage(1, "evolution-2")
    monkeypatch.setattr(other.progress, "warn", warned.append)
    assert to_train_on(other, tmp_path, tmp_path / "fetched") == tmp_path
    assert "begins with the rounded ones" in warned[0]


def test_a_note_that_leads_out_of_the_workspace_is_refused(tmp_path: Path) -> None:
    (tmp_path / MASTER_FILE).write_text('{"evolution": "..", "name": "1-executor_training"}')
    with pytest.raises(UsageError, match="is no note of a model's master"):
        to_train_on(stage(1), tmp_path, tmp_path / "fetched")


def test_rounding_needs_a_workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AGENT0_WORKSPACE", raising=False)
    with pytest.raises(UsageError, match=r"AGENT0_WORKSPACE names none: set it .*or set model\.handed_on to 'trained'"):
        check_workspace(ROUNDED)
    check_workspace(ModelSettings())
    check_workspace(ModelSettings(handed_on="bfloat16", dtype="bfloat16"))  # nothing is rounded
