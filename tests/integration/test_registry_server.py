"""Registered models on a real MLflow server with authentication, PostgreSQL and S3: no copy where none is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent0.storage.digest import model_digest

pytestmark = [pytest.mark.integration, pytest.mark.slow]
pytest.importorskip("mlflow", reason="the extra tracking is not installed")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "nested").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(os.urandom(3_000_000))
    (folder / "nested" / "config.json").write_text("{}")
    (folder / "stage.json").write_text("no part of the model")
    return folder


@pytest.fixture
def run_id(client: Any, request: pytest.FixtureRequest) -> str:
    return str(client.create_run(client.create_experiment(request.node.name)).info.run_id)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return f"executor-{abs(hash(request.node.name)) % 10**6}"


@pytest.fixture
def register(client: Any, run_id: str, name: str) -> Callable[[Path, str], str]:
    from agent0.tracking.model_origin import Origin
    from agent0.tracking.registry import register as registered

    def do(folder: Path, uri: str) -> str:
        origin = Origin(model_digest(folder), "0" * 64, "1" * 64, 1, run_id, "0.1.0+abc", "sha256:image")
        return registered(client, run_id, name, folder, uri, origin)

    return do


def models(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agent0", "models", *map(str, arguments)]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    return subprocess.run(command, env={**kept, **environment}, capture_output=True, text=True, check=False)


def contents(folder: Path) -> dict[str, bytes]:
    found = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    return {key: data for key, data in found.items() if key != "stage.json"}


def s3_client(swift: Any) -> Any:
    import boto3

    keys = {"aws_access_key_id": swift.access_key, "aws_secret_access_key": swift.secret_key}
    return boto3.client("s3", endpoint_url=swift.endpoint, region_name="us-east-1", **keys)


def test_a_model_on_this_disk_is_uploaded_once_and_comes_back_without_keys_of_the_store(
    client: Any, model: Path, register: Any, name: str, swift: Any, tmp_path: Path
) -> None:
    assert [register(model, str(model)), register(model, str(model))] == ["1", "1"]
    version = client.get_model_version(name, "1")
    assert version.source.startswith("mlflow-artifacts:/")
    assert version.tags["image_digest"] == "sha256:image"
    done = models("download", f"models:/{name}@candidate", tmp_path / "back")
    assert (done.returncode, "verified" in done.stdout) == (0, True), done.stderr
    assert contents(tmp_path / "back") == contents(model)

    from servers.tracking import BUCKET

    storage = s3_client(swift)
    keys = [item["Key"] for item in storage.list_objects_v2(Bucket=BUCKET).get("Contents", [])]
    (key,) = [key for key in keys if key.endswith(f"models/{name}/model.safetensors")]
    storage.put_object(Bucket=BUCKET, Key=key, Body=bytes(3_000_000))
    done = models("download", f"models:/{name}/1", tmp_path / "tampered")
    assert done.returncode == 1
    assert "is not what was registered" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "tampered").exists()


def test_a_model_in_s3_is_pointed_to_and_not_copied(
    client: Any, model: Path, register: Any, name: str, run_id: str, swift: Any, tmp_path: Path
) -> None:
    storage = s3_client(swift)
    storage.create_bucket(Bucket="pipelines")
    for path in model.rglob("*"):
        if path.is_file():
            key = f"v2/run/trained/{path.relative_to(model).as_posix()}"
            storage.put_object(Bucket="pipelines", Key=key, Body=path.read_bytes())
    register(model, "minio://pipelines/v2/run/trained?endpoint=storage:9000")
    assert client.get_model_version(name, "1").source == "s3://pipelines/v2/run/trained"
    assert client.list_artifacts(run_id) == []
    keys = {"AWS_ACCESS_KEY_ID": swift.access_key, "AWS_SECRET_ACCESS_KEY": swift.secret_key}
    place = {**keys, "AWS_ENDPOINT_URL_S3": swift.endpoint, "AWS_EC2_METADATA_DISABLED": "true"}
    done = models("download", f"models:/{name}/1", tmp_path / "back", **place)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "back") == contents(model)
    done = models("download", f"models:/{name}/1", tmp_path / "again", AWS_EC2_METADATA_DISABLED="true")
    assert (done.returncode, "no complete S3 credentials" in done.stderr) == (1, True)


def test_an_evaluation_on_this_disk_is_uploaded_for_the_next_one(
    client: Any, model: Path, register: Any, name: str, write_evaluation: Callable[..., Path]
) -> None:
    from agent0.evaluation.registered_evaluations import fetched_record, record_on_version, recorded_evaluations
    from agent0.evaluation.results import read_questions, read_report

    register(model, str(model))
    place = write_evaluation("evaluated", {"gsm8k": 70}, revision=model_digest(model))
    record_on_version(read_report(str(place)), place, f"models:/{name}/1")
    (recorded,) = recorded_evaluations(client.get_model_version(name, "1")).values()
    assert recorded.place.startswith("mlflow-artifacts:/")
    with fetched_record(client, recorded) as folder:
        report = read_report(str(folder))
        verdicts = read_questions(str(folder), report.benchmarks[0])
    assert sum(verdict.accuracy for verdict in verdicts.values()) == 70


def test_who_may_not_write_registers_nothing(
    model: Path, register: Any, name: str, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agent0.tracking.registry import RegistryError

    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "another-password")
    with pytest.raises(RegistryError, match="MLflow's registry failed"):
        register(model, str(model))
