from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent0.config import load_config
from agent0.errors import Agent0Error
from tests.kubeflow.server import KfpServer, kfp_server
from tests.kubeflow.state import State

IMAGE = "registry.example/agent0-python@sha256:" + "0" * 64


@dataclass(frozen=True)
class Done:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Done]


@pytest.fixture
def state() -> State:
    """What the server keeps when a test begins; a file's own fixture of this name may say otherwise."""
    return State()


@pytest.fixture
def server(state: State) -> Iterator[KfpServer]:
    with kfp_server(state) as running:
        yield running


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of compiled pipelines; `other.yaml` is an evolution with another default and one more iteration."""
    from agent0.kubeflow.compile_options import CompileOptions
    from agent0_kfp.pipelines.ablation import compile_ablation
    from agent0_kfp.pipelines.evaluation import compile_evaluation
    from agent0_kfp.pipelines.evolution import compile_evolution

    folder = tmp_path_factory.mktemp("compiled")
    compile_evolution(load_config("tiny", ["iterations=2"]), folder / "evolution.yaml", CompileOptions(image=IMAGE))
    compile_evolution(
        load_config("tiny", ["iterations=3", "executor.steps=12"]), folder / "other.yaml", CompileOptions(image=IMAGE)
    )
    compile_evaluation(load_config("tiny"), folder / "evaluation.yaml", CompileOptions(image=IMAGE))
    compile_ablation(load_config("tiny", ["iterations=1"]), folder / "ablation.yaml", CompileOptions(image=IMAGE))
    compile_evaluation(
        load_config("tiny"), folder / "tagged.yaml", CompileOptions(image="registry.example/agent0-python:1.0")
    )
    return folder


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keep_machine_away(monkeypatch, tmp_path)


def keep_machine_away(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep settings of this machine away: variables, kfp's context, a cluster's configuration, S3 credentials."""
    import kfp

    for name in list(os.environ):
        if name.startswith(("KF_", "KUBE", "MLFLOW_", "AWS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no-cluster"))
    monkeypatch.setattr(kfp.Client, "_LOCAL_KFP_CONTEXT", str(tmp_path / "context.json"))
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def pipeline(server: KfpServer, compiled: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run `agent0 pipeline …` against the server, in the folder of the compiled pipelines, and end as `main` does."""
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", server.url)
    monkeypatch.chdir(compiled)
    return command


@pytest.fixture(scope="session")
def _uploaded_once(compiled: Path, tmp_path_factory: pytest.TempPathFactory) -> State:
    with kfp_server() as running, pytest.MonkeyPatch.context() as patch:
        keep_machine_away(patch, tmp_path_factory.mktemp("uploaded"))
        patch.setenv("KF_PIPELINES_ENDPOINT", running.url)
        for name in ("evolution.yaml", "evaluation.yaml"):
            done = command("upload", str(compiled / name), "--version", "first")
            assert done.code == 0, done.err
        return running.state


@pytest.fixture
def uploaded(_uploaded_once: State) -> State:
    """What a server keeps that got the compiled evolution and evaluation, each as its version `first`."""
    return copy.deepcopy(_uploaded_once)


def command(*arguments: str) -> Done:
    from agent0.cli.main import app

    result = CliRunner().invoke(app, ["pipeline", *arguments])
    if isinstance(result.exception, Agent0Error):
        return Done(result.exception.exit_code, result.stdout, f"{result.stderr}agent0: {result.exception}\n")
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(result.exit_code, result.stdout, result.stderr)
