"""Publishing a version in Kubeflow's model registry: once, with its facts, and every obstacle as a sentence."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from custom_resources import reference
from mlflow.tracking import MlflowClient
from typer.testing import CliRunner

from agent0.cli.main import app
from agent0.errors import Agent0Error, UsageError
from agent0.evaluation.registered_evaluations import record_evaluation
from agent0.evaluation.results import read_report
from agent0.serving.model_registry import PublicationError
from agent0.serving.publication import publish_version
from agent0.storage.digest import model_digest
from agent0.tracking.registry import RegistryError
from tests.serving.registry_server import FIELDS, RegistryServer, registry_server

EXECUTOR = "agent0-executor"
FIRST = f"models:/{EXECUTOR}/1"


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[RegistryServer]:
    monkeypatch.delenv("KF_PIPELINES_SA_TOKEN_PATH", raising=False)
    with registry_server() as running:
        yield running


@pytest.fixture
def folder(make_model: Callable[[str], Path], registered: Any) -> Path:
    """The files of version 1."""
    made = make_model("one")
    registered(made, 1)
    return made


def text_of(properties: dict[str, Any]) -> dict[str, Any]:
    return {name: value.get("string_value", value.get("double_value")) for name, value in properties.items()}


def test_a_version_is_published_with_its_files_lineage_and_scores(
    registry: RegistryServer, folder: Path, client: MlflowClient, write_evaluation: Any
) -> None:
    place = write_evaluation("e", {"gsm8k": 40}, revision=model_digest(folder))
    version = client.get_model_version(EXECUTOR, "1")
    record_evaluation(client, version, read_report(str(place)), place, str(place), version.run_id)
    published = publish_version(FIRST, registry.url, "team")
    assert published.new
    (model,), (found,), (artifact,) = registry.models, registry.versions, registry.artifacts
    assert (model["name"], model["owner"]) == (EXECUTOR, "team")
    assert (found["name"], found["author"], found["registeredModelId"]) == ("1", "team", model["id"])
    facts = text_of(found["customProperties"])
    assert facts["model_sha256"] == model_digest(folder)
    assert facts["mlflow_run_id"] == version.run_id
    assert (facts["iteration"], facts["code_version"]) == ("1", "0.1.0+abc")
    assert facts["eval/gsm8k"] == pytest.approx(0.4)
    assert facts["eval/gsm8k_low"] < 0.4 < facts["eval/gsm8k_high"]
    assert "image_digest" not in facts
    assert (artifact["uri"], artifact["modelFormatName"]) == (folder.resolve().as_uri(), "safetensors")
    assert artifact["modelSourceName"] == FIRST


def test_an_older_registry_is_spoken_to_in_its_own_version(registry: RegistryServer, folder: Path) -> None:
    registry.version = "v1alpha3"
    assert publish_version(FIRST, registry.url, "agent0").new
    assert all(path.startswith("/api/model_registry/v1alpha3/") for path in registry.made)


def test_publishing_twice_makes_nothing_new(registry: RegistryServer, folder: Path) -> None:
    publish_version(FIRST, registry.url, "agent0")
    made = list(registry.made)
    published = publish_version(FIRST, f"{registry.url}/", "somebody")
    assert not published.new
    assert "was already published as version 1" in published.told
    assert registry.made == made
    assert len(made) == 3


@pytest.mark.parametrize("kept", [1, 2])
def test_what_an_attempt_left_half_done_is_completed(registry: RegistryServer, folder: Path, kept: int) -> None:
    publish_version(FIRST, registry.url, "agent0")
    registry.artifacts.clear()
    if kept == 1:
        registry.versions.clear()
    assert publish_version(FIRST, registry.url, "agent0").new
    assert [len(found) for found in (registry.models, registry.versions, registry.artifacts)] == [1, 1, 1]


def test_another_model_under_the_same_number_is_left_alone(
    registry: RegistryServer, folder: Path, client: MlflowClient
) -> None:
    publish_version(FIRST, registry.url, "agent0")
    client.set_model_version_tag(EXECUTOR, "1", "model_sha256", "f" * 64)
    with pytest.raises(PublicationError, match=r"another model as version 1 .* Nothing was published"):
        publish_version(FIRST, registry.url, "agent0")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "Name the file of a token in KF_PIPELINES_SA_TOKEN_PATH"),
        (403, "the right to use it"),
        (302, "refused to GET /registered_models: 302"),
        (500, "refused by the test"),
    ],
)
def test_a_refusal_says_what_to_do(registry: RegistryServer, folder: Path, status: int, words: str) -> None:
    registry.refusals = [status]
    with pytest.raises(PublicationError, match=words):
        publish_version(FIRST, registry.url, "agent0")
    assert registry.made == []


def test_a_registry_that_does_not_answer_or_is_none_is_named(folder: Path, registry: RegistryServer) -> None:
    with pytest.raises(PublicationError, match=r"at http://127\.0\.0\.1:9 does not answer"):
        publish_version(FIRST, "http://127.0.0.1:9", "agent0")
    for address in ("registry.example.com", "ftp://x", "http://"):
        with pytest.raises(UsageError, match="no address of a model registry"):
            publish_version(FIRST, address, "agent0")
    with pytest.raises(PublicationError, match=r"no model registry at .*/elsewhere: it knows none of .*v1,v1alpha3"):
        publish_version(FIRST, f"{registry.url}/elsewhere", "agent0")


def test_the_token_of_the_pod_is_sent_along(
    registry: RegistryServer, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "token"))
    with pytest.raises(UsageError, match="There is no token file"):
        publish_version(FIRST, registry.url, "agent0")
    (tmp_path / "token").write_text("secret\n")
    publish_version(FIRST, registry.url, "agent0")
    assert {token for _, _, token in registry.requests} == {"Bearer secret"}


def test_a_version_that_is_unknown_is_refused_before_anything_is_asked(registry: RegistryServer, folder: Path) -> None:
    with pytest.raises(RegistryError, match="has no version 7"):
        publish_version(f"models:/{EXECUTOR}/7", registry.url, "agent0")
    assert registry.requests == []


def test_the_command_says_what_was_done(registry: RegistryServer, folder: Path) -> None:
    def publish(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["models", "publish", FIRST, *arguments])
        if isinstance(result.exception, Agent0Error):
            raise result.exception
        return result.stdout

    assert "is now published as version 1 of agent0-executor" in publish("--registry", registry.url)
    assert json.loads(publish("--registry", registry.url, "--json"))["new"] is False
    with pytest.raises(UsageError, match="--registry URL"):
        publish()


def test_the_stand_in_takes_the_fields_of_the_published_api() -> None:
    schemas = yaml.load(reference("model-registry.yaml").read_text(), yaml.CSafeLoader)["components"]["schemas"]

    def fields(schema: dict[str, Any]) -> set[str]:
        if "$ref" in schema:
            return fields(schemas[schema["$ref"].rpartition("/")[2]])
        return set(schema.get("properties", {})) | {n for part in schema.get("allOf", ()) for n in fields(part)}

    for name, known in FIELDS.items():
        assert known <= fields(schemas[name]) <= known | {"id", "createTimeSinceEpoch", "lastUpdateTimeSinceEpoch"}


def test_kubeflows_own_client_finds_what_was_published(registry: RegistryServer, folder: Path) -> None:
    package = pytest.importorskip("model_registry", reason="Kubeflow's client is not installed")
    publish_version(FIRST, registry.url, "team")
    address, _, port = registry.url.rpartition(":")
    theirs = package.ModelRegistry(address, int(port), author="somebody", is_secure=False)
    assert theirs.get_registered_model(EXECUTOR).owner == "team"
    version = theirs.get_model_version(EXECUTOR, "1")
    assert version.custom_properties["model_sha256"] == model_digest(folder)
