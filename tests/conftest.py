"""Fixtures that several rooms' tests share."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from agent0.config import SandboxSettings, TinyPretraining


@pytest.fixture(autouse=True)
def _quiet_tracking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """The embedded tokenizer, trained on a small corpus."""
    from agent0.tiny.pretrain import _render
    from agent0.tiny.tokenizer import train_tokenizer
    from agent0.tiny.transcripts import draw_transcript

    rng = random.Random(0)
    return train_tokenizer([_render(draw_transcript(rng, TinyPretraining())) for _ in range(500)], 420)


@pytest.fixture(scope="session")
def random_model(tokenizer: Any) -> Any:
    """A small model with random weights; tests must not change it."""
    import torch

    from agent0.tiny.pretrain import _new_model

    torch.manual_seed(0)
    return _new_model(TinyPretraining(hidden_size=32, layers=1, heads=2), tokenizer).eval()


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Any]:
    """A running sandbox without preloaded modules."""
    from agent0.sandbox import SandboxPool

    with SandboxPool(SandboxSettings(preload=(), memory_mb=256, timeout_seconds=5.0)) as pool:
        yield pool
