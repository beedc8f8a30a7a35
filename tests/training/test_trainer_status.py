"""A training's progress in its TrainJob's status: what is posted, how often, and what never hinders the training."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from custom_resources import definition, violations

from agent0.training import trainer_status
from agent0.training.trainer_status import reported, status
from tests.training.status_server import StatusServer, status_server


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StatusServer]:
    with status_server(tmp_path) as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(trainer_status, "PAUSE_SECONDS", 0.05)
        yield running


def nothing(*_: object) -> None:
    return None


def test_a_step_is_posted_with_its_share_the_rest_and_its_numbers(server: StatusServer) -> None:
    logged: list[int] = []
    with reported(8, lambda _, step: logged.append(step)) as log:
        log({"loss": 0.25, "reward": 1.0, "step_time": 10.2}, 3)
    assert logged == [3]
    (found,) = server.statuses
    assert found["progressPercentage"] == 37
    assert found["estimatedRemainingSeconds"] == 51
    assert found["metrics"][:2] == [{"name": "loss", "value": "0.25"}, {"name": "reward", "value": "1"}]
    assert abs(datetime.fromisoformat(found["lastUpdatedTime"]).timestamp() - time.time()) < 60


def test_only_the_newest_of_many_steps_is_posted_and_the_last_always(
    server: StatusServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer_status, "PAUSE_SECONDS", 60.0)
    begun = time.monotonic()
    with reported(100, nothing) as log:
        for step in range(1, 101):
            log({"loss": 0.0}, step)
    assert time.monotonic() - begun < 10
    assert len(server.statuses) <= 2
    assert server.statuses[-1]["progressPercentage"] == 100


def test_a_renewed_token_is_read_again(server: StatusServer) -> None:
    with reported(2, nothing) as log:
        log({}, 1)
        while not server.statuses:
            time.sleep(0.02)
        Path(server.environment["KUBEFLOW_TRAINER_SERVER_TOKEN"]).write_text("second", encoding="utf-8")
        log({}, 2)
    assert [found["progressPercentage"] for found in server.statuses] == [50, 100]


def test_a_refusal_is_told_once_and_the_training_goes_on(
    server: StatusServer, capfd: pytest.CaptureFixture[str]
) -> None:
    server.answer = 500
    logged: list[int] = []
    with reported(3, lambda _, step: logged.append(step)) as log:
        for step in (1, 2, 3):
            log({}, step)
            time.sleep(0.2)
    assert logged == [1, 2, 3]
    assert server.requests >= 2
    printed = capfd.readouterr().err
    assert printed.count("does not reach the status of its TrainJob") == 1
    assert "refused by the test" in printed


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KUBEFLOW_TRAINER_SERVER_URL", "https://127.0.0.1:9/x"),
        ("KUBEFLOW_TRAINER_SERVER_URL", "no address"),
        ("KUBEFLOW_TRAINER_SERVER_CA_CERT", "/nowhere/ca.crt"),
        ("KUBEFLOW_TRAINER_SERVER_TOKEN", "/nowhere/token"),
    ],
)
def test_what_is_missing_never_ends_a_training(
    server: StatusServer,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    name: str,
    value: str,
) -> None:
    monkeypatch.setenv(name, value)
    with reported(1, nothing) as log:
        log({}, 1)
    assert server.statuses == []
    assert "does not reach" in capfd.readouterr().err


@pytest.mark.parametrize(("name", "value"), [("RANK", "1"), ("KUBEFLOW_TRAINER_SERVER_URL", None)])
def test_other_processes_and_other_places_post_nothing(
    server: StatusServer, monkeypatch: pytest.MonkeyPatch, name: str, value: str | None
) -> None:
    if value is None:
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, value)
    with reported(1, nothing) as log:
        assert log is nothing
    assert server.requests == 0


def test_a_status_is_one_by_the_published_definition() -> None:
    numbers = {f"metric/{number}": math.nan for number in range(300)} | {"n" * 65: 1.0, "step_time": math.inf}
    schema = definition("trainer.kubeflow.org_trainjobs", "v1alpha1")["properties"]["status"]
    schema["properties"]["trainerStatus"].pop("x-kubernetes-validations")
    assert list(violations(status(numbers, 7, 5), schema)) == []
    assert "estimatedRemainingSeconds" not in status(numbers, 7, 5)["trainerStatus"]
