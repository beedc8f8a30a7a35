"""The tracking server as it is deployed: who may do what, where artifacts go, and what a power cut costs."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.slow]
pytest.importorskip("mlflow", reason="the extra tracking is not installed")


@pytest.fixture
def run(client: Any, request: pytest.FixtureRequest) -> Any:
    return client.create_run(client.create_experiment(request.node.name))


def answer(uri: str, path: str) -> int:
    try:
        return int(urllib.request.urlopen(uri + path, timeout=30).status)
    except urllib.error.HTTPError as error:
        return error.code


def test_only_its_health_is_told_to_strangers(tracked: Any) -> None:
    assert answer(tracked.uri, "/health") == 200
    assert answer(tracked.uri, "/api/2.0/mlflow/experiments/search?max_results=1") == 401
    assert answer(tracked.uri, "/api/2.0/mlflow-artifacts/artifacts?path=0") == 401


def test_a_wrong_password_is_refused(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.exceptions import MlflowException

    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "another-password")
    with pytest.raises(MlflowException, match="401"):
        client.search_experiments()


def test_who_has_an_account_may_read_and_not_write(
    client: Any, run: Any, tracked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.server import get_app_client

    get_app_client("basic-auth", tracked.uri).create_user("reader", "another-long-password")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "reader")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "another-long-password")
    assert client.get_run(run.info.run_id).info.run_id == run.info.run_id
    with pytest.raises(MlflowException, match="Permission denied"):
        client.log_metric(run.info.run_id, "accuracy", 1.0)


def test_artifacts_pass_through_the_server_into_s3(client: Any, run: Any, tmp_path: Path, swift: Any) -> None:
    import boto3
    from botocore.config import Config
    from servers.tracking import BUCKET

    (tmp_path / "back").mkdir()
    (tmp_path / "weights.bin").write_bytes(bytes(range(256)) * 4096)
    client.log_artifact(run.info.run_id, str(tmp_path / "weights.bin"), "model")
    back = Path(client.download_artifacts(run.info.run_id, "model/weights.bin", str(tmp_path / "back")))
    assert back.read_bytes() == (tmp_path / "weights.bin").read_bytes()
    storage = boto3.client(
        "s3",
        endpoint_url=swift.endpoint,
        aws_access_key_id=swift.access_key,
        aws_secret_access_key=swift.secret_key,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )
    keys = [item["Key"] for item in storage.list_objects_v2(Bucket=BUCKET, Prefix="artifacts/")["Contents"]]
    assert any(key.endswith(f"{run.info.run_id}/artifacts/model/weights.bin") for key in keys)


def test_a_power_cut_loses_nothing_that_was_acknowledged(client: Any, run: Any, tracked: Any) -> None:
    for step in range(5):
        client.log_metric(run.info.run_id, "reward", float(step), step=step)
    tracked.stop()
    tracked.start()
    assert [point.value for point in client.get_metric_history(run.info.run_id, "reward")] == [0, 1, 2, 3, 4]


def test_a_backup_brings_back_runs_models_and_accounts(
    client: Any, run: Any, postgres: Any, swift: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.server import get_app_client
    from mlflow.tracking import MlflowClient
    from servers.tracking import TrackingServer

    client.log_metric(run.info.run_id, "reward", 0.5, step=7)
    client.log_text(run.info.run_id, "weights", "model/weights.txt")
    client.create_registered_model("kept")
    client.create_model_version("kept", f"{run.info.artifact_uri}/model", run_id=run.info.run_id)
    client.set_registered_model_alias("kept", "champion", "1")
    get_app_client("basic-auth", client.tracking_uri).create_user("keeper", "another-long-password")

    postgres.dump("mlflow", tmp_path / "mlflow.dump")
    postgres.restore("restored", tmp_path / "mlflow.dump")
    server = TrackingServer(tmp_path, postgres, swift, "restored")
    try:
        server.start()
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "keeper")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "another-long-password")
        restored = MlflowClient(server.uri)
        (point,) = restored.get_metric_history(run.info.run_id, "reward")
        assert (point.value, point.step) == (0.5, 7)
        version = restored.get_model_version_by_alias("kept", "champion")
        assert version.run_id == run.info.run_id
        (item,) = restored.list_artifacts(run.info.run_id, "model")
        assert item.path == "model/weights.txt"
    finally:
        server.end()


def test_the_commands_of_an_upgrade_leave_tables_of_this_version_alone(run: Any, client: Any, postgres: Any) -> None:
    import yaml
    from servers.tracking import DEPLOYMENT

    job = yaml.safe_load((DEPLOYMENT / "kubernetes" / "upgrade.yaml").read_text())
    *_, script = job["spec"]["template"]["spec"]["containers"][0]["command"]
    environment = {**os.environ, **postgres.environment("mlflow")}
    for line in script.strip().splitlines():
        command = line.removeprefix("python ").split()
        module = command if command[0] == "-m" else ["-m", *command]
        subprocess.run([sys.executable, *module], env=environment, check=True, timeout=180)
    assert client.get_run(run.info.run_id).info.run_id == run.info.run_id
