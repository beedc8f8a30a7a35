"""What the tests of several stages share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def model_without_weights(tokenizer: Any, random_model: Any, tmp_path: Path) -> Path:
    """A model's folder as far as a stage reads it whose backend is scripted: tokenizer and sizes."""
    tokenizer.save_pretrained(tmp_path / "model")
    random_model.config.save_pretrained(tmp_path / "model")
    return tmp_path / "model"
