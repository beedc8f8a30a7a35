"""A training's progress in its TrainJob's status: transformers posts it where Kubeflow Trainer names an address."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from custom_resources import definition, violations
from transformers import TrainerControl, TrainerState, TrainingArguments
from transformers.integrations.integration_utils import KubeflowCallback

from agent0.training.batch_division import BatchPlan
from agent0.training.grpo import grpo_arguments
from agent0.training.training_job import TrainingJob
from tests.training.status_server import StatusServer, status_server


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StatusServer]:
    with status_server(tmp_path) as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def told(server: StatusServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A function that tells transformers' callback of a training of two steps."""
    monkeypatch.setattr(KubeflowCallback, "_MIN_UPDATE_INTERVAL", 0.0)

    def train() -> None:
        callback, state = KubeflowCallback(), TrainerState(max_steps=2)
        given: tuple[Any, ...] = (TrainingArguments(output_dir=str(tmp_path), use_cpu=True), state, TrainerControl())
        callback.on_train_begin(*given)
        for state.global_step in (1, 2):
            callback.on_log(*given, logs={"loss": 0.25, "completions/mean_length": 12.0})
            callback.on_step_end(*given)
        callback.on_train_end(*given)

    return train


def test_our_trainers_report_where_trainer_names_an_address(job: TrainingJob, server: StatusServer) -> None:
    assert grpo_arguments(job, BatchPlan.of(job, 1)).report_to == ["kubeflow"]


def test_our_trainers_report_nowhere_else(job: TrainingJob) -> None:
    assert grpo_arguments(job, BatchPlan.of(job, 1)).report_to == []


def test_what_is_posted_is_a_status_by_the_published_model(server: StatusServer, told: Callable[[], None]) -> None:
    told()
    assert [found["progressPercentage"] for found in server.statuses] == [0, 50, 99, 100]
    assert {"name": "loss", "value": "0.25"} in server.statuses[-1]["metrics"]
    assert server.requests == 4


def test_what_is_posted_is_a_status_by_the_published_definition(server: StatusServer, told: Callable[[], None]) -> None:
    schema = definition("trainer.kubeflow.org_trainjobs", "v1alpha1")["properties"]["status"]
    schema["properties"]["trainerStatus"].pop("x-kubernetes-validations")
    told()
    for found in server.statuses:
        assert list(violations({"trainerStatus": found}, schema)) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KUBEFLOW_TRAINER_SERVER_URL", "https://127.0.0.1:9/x"),
        ("KUBEFLOW_TRAINER_SERVER_URL", "no address"),
        ("KUBEFLOW_TRAINER_SERVER_TOKEN", "/nowhere/token"),
    ],
)
def test_a_post_that_fails_never_ends_a_training(
    server: StatusServer, told: Callable[[], None], monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    told()
    assert server.statuses == []
