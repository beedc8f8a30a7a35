"""An evolution in MLflow says all that is needed to run it again."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from mlflow.tracking import MlflowClient

from agent0.cli.tracking import reproduce
from agent0.config import load_config
from agent0.errors import Agent0Error, UsageError
from agent0.kubeflow.compile_options import CompileOptions
from agent0.stages.opening import Beginning, open_evolution
from agent0.tracking.recipe_of_run import recipe_of
from agent0_kfp.pipelines.evolution import compile_evolution

CONFIG = load_config("tiny", ["iterations=1", "seed=7", "executor.steps=3"])
OPTIONS = CompileOptions(image="registry.example/agent0-python@sha256:0", retries=5)


def opened(beginning: Beginning = Beginning(), version: str = "") -> str:  # noqa: B008  # frozen
    return open_evolution(CONFIG, beginning, version, "", "job", OPTIONS.model_dump(mode="json"))


def test_the_same_bytes_are_compiled_from_the_run_or_one_nested_in_it(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = opened()
    client = MlflowClient(store)
    nested = client.search_runs([client.get_run(run_id).info.experiment_id], "tags.`agent0.kind` = 'iteration'")
    compile_evolution(CONFIG, tmp_path / "first.yaml", OPTIONS)
    for given in (run_id, nested[0].info.run_id):
        reproduce(given, compile_only=str(tmp_path / "again.yaml"))
        assert (tmp_path / "again.yaml").read_bytes() == (tmp_path / "first.yaml").read_bytes()
    assert recipe_of(store, run_id).config == CONFIG
    assert capsys.readouterr().err == ""


def test_other_code_is_a_warning(store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reproduce(opened(version="0.0.1+abc"), compile_only=str(tmp_path / "again.yaml"), image="other/agent0-python:2")
    assert "was made by code 0.0.1+abc, and this is" in capsys.readouterr().err
    assert "other/agent0-python:2" in (tmp_path / "again.yaml").read_text()
    assert list(yaml.load_all((tmp_path / "again.yaml").read_text(), yaml.CSafeLoader))


def test_one_that_went_on_with_another_says_how_to_start_it(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = opened(Beginning(3, "s3://bucket/curriculum", "s3://bucket/executor", "runs:/abc"))
    reproduce(run_id, compile_only=str(tmp_path / "again.yaml"))
    assert "start_iteration=3 curriculum_model_uri=s3://bucket/curriculum" in capsys.readouterr().out


def test_a_run_that_is_no_evolution_is_refused(store: str, tmp_path: Path) -> None:
    client = MlflowClient(store)
    stranger = client.create_run(client.create_experiment("other")).info.run_id
    with pytest.raises(UsageError, match="is of no evolution"):
        reproduce(stranger, compile_only=str(tmp_path / "again.yaml"))
    with pytest.raises(Agent0Error, match="not found"):
        reproduce("0" * 32, compile_only=str(tmp_path / "again.yaml"))
    bare = client.create_run("1", tags={"agent0.kind": "evolution"}).info.run_id
    with pytest.raises(UsageError, match=r"keeps no config\.json"):
        reproduce(bare, compile_only=str(tmp_path / "again.yaml"))
