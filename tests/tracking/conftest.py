"""A local MLflow store, and models to register in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from agent0.storage.digest import model_digest
from agent0.tracking.buffered_tracker import TrackingSession, open_session
from agent0.tracking.mlflow_runs import start_run
from agent0.tracking.model_origin import Origin
from agent0.tracking.registry import register

Register = Callable[..., str]
EXECUTOR = "agent0-executor"


@pytest.fixture
def store(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URI of a new SQLite store, which the environment names."""
    shutil.copyfile(empty_store, tmp_path / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.chdir(tmp_path)
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture
def client(store: str) -> MlflowClient:
    return MlflowClient(store)


@pytest.fixture
def run_id(client: MlflowClient, tmp_path: Path) -> str:
    experiment = client.create_experiment("agent0", artifact_location=(tmp_path / "mlartifacts").as_uri())
    return str(client.create_run(experiment).info.run_id)


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[[str], Path]:
    """Write files like a saved model's, with the stage's own beside them."""

    def make(name: str) -> Path:
        folder = tmp_path / "models" / name
        (folder / "nested").mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(name.encode() * 1000)
        (folder / "nested" / "config.json").write_text("{}")
        (folder / "stage.json").write_text(f'{{"stage": "{name}"}}')
        return folder

    return make


@pytest.fixture
def registered(client: MlflowClient, run_id: str) -> Register:
    """Register a folder as the outcome of a round."""

    def do(folder: Path, iteration: int, *, parent: Path | None = None, uri: str = "", **changes: str) -> str:
        origin = Origin(
            **{
                "model_sha256": model_digest(folder),
                "parent_sha256": model_digest(parent) if parent else "0" * 64,
                "tasks_sha256": "1" * 64,
                "iteration": iteration,
                "evolution_run_id": "evolution",
                "code_version": "0.1.0+abc",
                "image_digest": "",
                **changes,
            }
        )
        return register(client, run_id, EXECUTOR, folder, uri or str(folder), origin)

    return do


@pytest.fixture
def evolution(store: str) -> str:
    params = {"config.seed": 0}
    return start_run(store, "agent0", "evolution tiny seed 0", params, {}, range(3), note="An *evolution*.")


@pytest.fixture
def open_stage(store: str, evolution: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setenv("AGENT0_TRACKING_BUFFER", str(tmp_path / "buffers"))

    def do(name: str = "task_filtering", iteration: int = 1, **changes: Any) -> TrackingSession:
        given = {"part": "", "fingerprint": "same", "params": {"filtering.k": 1}, "tags": {}, "warn": pytest.fail}
        return open_session(store, evolution, iteration, name, **{**given, **changes})

    return do
