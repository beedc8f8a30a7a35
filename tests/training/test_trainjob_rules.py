"""A TrainJob as a cluster takes it: by the published definition, and by the rules that the stand-in applies."""

from __future__ import annotations

from typing import Any

import pytest
from custom_resources import definition, list_maps, violations

from agent0.config import TrainingSettings, TrainJobSettings
from agent0.training.shared_volume import Nodes
from agent0.training.training_job import TrainingJob
from agent0.training.trainjob import job_name, manifest
from tests.training.trainjob_rules import LIST_MAPS, refusals
from tests.training.trainjob_server import POD

CLAIM = {"name": "shared", "persistentVolumeClaim": {"claimName": "agent0-shared"}}
CROWDED = {
    **POD,
    "env": [
        {"name": "MLFLOW_TRACKING_URI", "value": "http://mlflow.kubeflow"},
        {"name": "MLFLOW_TRACKING_URI", "valueFrom": {"configMapKeyRef": {"name": "agent0", "key": "uri"}}},
        {"name": "AGENT0_WORKSPACE", "value": "/shared"},
        {"name": "AGENT0_WORKSPACE", "valueFrom": {"configMapKeyRef": {"name": "agent0", "key": "workspace"}}},
    ],
    "volumes": [CLAIM, CLAIM],
    "volume_mounts": [{"name": "shared", "mountPath": "/shared"}, {"name": "shared", "mountPath": "/models"}],
}
SETTINGS = TrainJobSettings(
    queue="gpus",
    deadline_hours=12.5,
    labels={"example.com/team": "agents"},
    annotations={"example.com/why": "a growing agent: round 3"},
    resources={"nvidia.com/gpu": "8", "memory": "576Gi"},
)


@pytest.fixture
def body(job: TrainingJob) -> dict[str, Any]:
    """A TrainJob with everything that can be set, of a pod in which names stand twice."""
    full = job.model_copy(update={"training": TrainingSettings(launcher="trainjob", trainjob=SETTINGS)})
    return manifest(job_name(full), full, Nodes("registry.example/agent0@sha256:0", CROWDED), ["pull", "pull"])


def test_nothing_is_named_twice(body: dict[str, Any]) -> None:
    assert refusals(body) == []
    assert body["spec"]["trainer"]["env"] == [CROWDED["env"][0], CROWDED["env"][2]]


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("env", [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}], "spec.trainer.env: Duplicate value"),
        ("env", [{"name": "PET_NNODES", "value": "2"}], "reserved envs"),
    ],
)
def test_the_rules_find_what_they_look_for(body: dict[str, Any], place: str, value: Any, words: str) -> None:
    body["spec"]["trainer"][place] = value
    assert [words in refused for refused in refusals(body)] == [True]


def test_the_job_is_one_by_the_published_definition(body: dict[str, Any]) -> None:
    schema = definition("trainer.kubeflow.org_trainjobs", "v1alpha1")
    assert list(violations(body, schema)) == []
    body["spec"]["trainer"]["env"] *= 2
    body["spec"]["runtime"] = "x"
    assert len(list(violations(body, schema))) == 3


def test_the_keyed_lists_are_those_of_the_published_definition() -> None:
    spec = definition("trainer.kubeflow.org_trainjobs", "v1alpha1")["properties"]["spec"]
    assert dict(list_maps(spec, "spec")) == LIST_MAPS
