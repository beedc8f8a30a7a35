"""The cache of the embedded base model: what it holds is used only if it is what was put there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent0.config import TinyPretraining
from agent0.errors import UsageError
from agent0.tiny import pretrain

DAMAGE = {
    "a flipped byte": lambda model: _flip(model / "model.safetensors"),
    "a file gone": lambda model: (model / "tokenizer.json").unlink(),
    "a setting": lambda model: (model / "config.json").write_text("{}"),
    "no seal": lambda model: (model / "manifest.json").unlink(),
}


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_cache_that_takes_nothing_is_refused_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AGENT0_CACHE", str(tmp_path / "file" / "cache"))

    def train(settings: TinyPretraining, report: pretrain.Report) -> tuple[Any, Any]:
        raise AssertionError("trained")

    monkeypatch.setattr(pretrain, "pretrain", train)
    with pytest.raises(UsageError, match=r"Nothing can be written to the folder .*file/cache"):
        pretrain.ensure_base_model(TinyPretraining(), lambda *_: None)


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_model_in_the_cache_is_trained_anew(
    kind: str,
    random_model: Any,
    tokenizer: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AGENT0_CACHE", str(tmp_path))
    trained: list[TinyPretraining] = []

    def train(settings: TinyPretraining, report: pretrain.Report) -> tuple[Any, Any]:
        trained.append(settings)
        return random_model, tokenizer

    monkeypatch.setattr(pretrain, "pretrain", train)
    model = pretrain.ensure_base_model(TinyPretraining(), lambda *_: None)
    whole = (model / "model.safetensors").read_bytes()
    assert pretrain.ensure_base_model(TinyPretraining(), lambda *_: None) == model
    assert len(trained) == 1
    assert "trained anew" not in capsys.readouterr().err
    DAMAGE[kind](model)
    assert pretrain.ensure_base_model(TinyPretraining(), lambda *_: None) == model
    assert len(trained) == 2
    assert "trained anew" in capsys.readouterr().err
    assert (model / "model.safetensors").read_bytes() == whole
