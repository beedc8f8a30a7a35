"""The names that a program may rely on, as docs/api.md shows them."""

from __future__ import annotations

import doctest
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import short_evolution

import agent0

PAGE = Path(__file__).parents[1] / "docs" / "api.md"


@pytest.mark.slow
def test_the_page_shows_what_happens(
    tmp_path: Path, model_cache: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGENT0_CACHE", str(model_cache))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{shutil.copy(empty_store, tmp_path)}")
    done = doctest.testfile(
        str(PAGE), module_relative=False, globs={"SHORT": [*short_evolution.SHORTEST, "iterations=1"]}
    )
    assert done.attempted > 8
    assert done.failed == 0


def test_every_name_is_there_and_none_is_loaded_before_it_is_asked_for() -> None:
    assert {"Config", "evolve", "evaluate", "Sandbox", "majority_vote", "equivalent", "ADPOTrainer"} <= set(
        agent0.__all__
    )
    for name in agent0.__all__:
        assert getattr(agent0, name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        getattr(agent0, "nothing")  # noqa: B009
    code = (
        "import sys, agent0; agent0.Config; print([m for m in ('torch', 'kfp', 'mlflow', 'sympy') if m in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_every_name_stands_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [name for name in agent0.__all__ if name != "__version__" and name not in page] == []
