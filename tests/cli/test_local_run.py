"""What `agent0 evolve` says before it begins, and where it sends a reader when it has ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent0.cli.local_run import charts, intention
from agent0.config import load_config
from agent0.errors import Agent0Error
from agent0_kfp.pipelines.local_evolution import LocalEvolution

URI = "sqlite:////somewhere/mlflow.db"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has not begun."""
    place = tmp_path_factory.mktemp("begun") / "a run"
    LocalEvolution.create(place, load_config("tiny"), URI)
    return place


def said(folder: Path, recipe: str, *overrides: str) -> str:
    return intention(LocalEvolution(folder, load_config(recipe, overrides), URI, "0.1.0"))


def test_a_run_says_what_it_will_do_for_how_long_and_how_to_go_on(folder: Path) -> None:
    lines = said(folder, "tiny").splitlines()
    assert lines[0] == "evolve   tiny, seed 0: 3 round(s) from tiny, 28 stages"
    assert lines[1] == f"into     {folder}; tracked in {URI}"
    assert lines[2] == "time     about 4 min on two CPU cores"
    assert f"--output '{folder}' --resume" in lines[3]
    assert "about 2 min on two CPU cores\n" in said(folder, "tiny", "iterations=1", "seed=3")


def test_a_time_is_of_the_recipe_as_it_is_or_not_known(folder: Path) -> None:
    assert "as the recipe is; this run has other settings" in said(folder, "tiny", "executor.steps=99")
    assert "was not measured; agent0 plan --recipe one-gpu" in said(folder, "one-gpu")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("package:no-such-model", "needs the package no-such-model, which is not installed here"),
        ("/no/such/folder", "There is no folder /no/such/folder"),
        (".", "holds no model"),
        ("models:/m@", "models:/"),
    ],
)
def test_a_model_that_is_not_there_is_refused_before_there_is_a_run(
    source: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Agent0Error, match=message):
        LocalEvolution.create(tmp_path / "run", load_config("smollm2", [f"model.source={source}"]), URI)
    assert not (tmp_path / "run").exists()


def test_an_mlflow_that_is_silent_at_the_end_is_told_and_no_error() -> None:
    assert "MLflow does not answer at http://127.0.0.1:9" in charts("http://127.0.0.1:9", "0" * 32)
    assert "There is no tracking store at /somewhere/mlflow.db" in charts(URI, "0" * 32)
