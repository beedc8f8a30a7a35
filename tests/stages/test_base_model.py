from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from agent0.config import ModelSettings
from agent0.errors import UsageError
from agent0.stages import Stage
from agent0.stages.base_model import run_base_model
from agent0.storage import transfer


@pytest.fixture
def model(random_model: Any, tokenizer: Any, tmp_path: Path) -> Path:
    random_model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def provide(source: str, output: Path) -> float:
    return run_base_model(Stage.untracked("base_model", 0), output=output, model=ModelSettings(source=source)).metrics[
        "system/parameters"
    ]


def test_a_folder_is_copied(model: Path, tmp_path: Path) -> None:
    assert provide(str(model), tmp_path / "out") > 0
    assert (tmp_path / "out" / "config.json").is_file()


def test_a_model_in_a_store_is_fetched(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def get(uri: str, target: Path, progress: Any = None) -> None:
        asked.append(uri)
        shutil.copytree(model, target)

    monkeypatch.setattr(transfer, "get", get)
    assert provide("s3://models/small", tmp_path / "out") > 0
    assert asked == ["s3://models/small"]


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no model"):
        provide(str(tmp_path), tmp_path / "out")
