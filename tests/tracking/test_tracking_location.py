"""Where MLflow is: of a server's plugin, of the pod's settings, or a file of this folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent0.tracking.tracking_location import tracking_uri, variable_of

OURS = {
    "MLFLOW_TRACKING_URI": "http://ours:5000",
    "MLFLOW_TRACKING_USERNAME": "agent0",
    "MLFLOW_TRACKING_PASSWORD": "secret",
}


@pytest.fixture(autouse=True)
def _no_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*OURS, "MLFLOW_TRACKING_TOKEN"]:
        monkeypatch.setenv(name, "")  # so that it is restored, whatever the test's subject sets
        monkeypatch.delenv(name)


def give(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in OURS.items():
        monkeypatch.setenv(variable_of(name), value)


def test_only_variables_of_mlflow_get_another_name_in_pods() -> None:
    assert variable_of("MLFLOW_TRACKING_URI") == "AGENT0_MLFLOW_TRACKING_URI"
    assert [variable_of(name) for name in ("HF_HOME", "AGENT0_CACHE")] == ["HF_HOME", "AGENT0_CACHE"]


def test_a_pod_uses_the_server_of_its_settings_with_its_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch)
    assert tracking_uri() == "http://ours:5000"
    assert {name: os.environ[name] for name in OURS} == OURS


def test_the_plugin_comes_first_and_its_server_gets_no_credentials_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://theirs:5000")
    assert tracking_uri() == "http://theirs:5000"
    assert "MLFLOW_TRACKING_PASSWORD" not in os.environ


def test_credentials_of_the_plugin_stay_where_both_name_one_server(monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", OURS["MLFLOW_TRACKING_URI"])
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "kubeflow")
    assert tracking_uri() == "http://ours:5000"
    assert os.environ["MLFLOW_TRACKING_USERNAME"] == "kubeflow"
    assert os.environ["MLFLOW_TRACKING_PASSWORD"] == "secret"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("sqlite:///mlflow.db", "sqlite:///{here}/mlflow.db"),
        ("sqlite:///runs/mlflow.db?timeout=60", "sqlite:///{here}/runs/mlflow.db?timeout=60"),
        ("sqlite+pysqlite:///mlflow.db", "sqlite+pysqlite:///{here}/mlflow.db"),
        ("sqlite:////data/mlflow.db", "sqlite:////data/mlflow.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("http://ours:5000", "http://ours:5000"),
    ],
)
def test_a_file_named_from_this_folder_is_the_same_from_any_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str, expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", given)
    assert tracking_uri() == expected.format(here=tmp_path)


def test_without_either_it_is_a_file_of_this_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert tracking_uri() == f"sqlite:///{tmp_path / 'mlflow.db'}"
