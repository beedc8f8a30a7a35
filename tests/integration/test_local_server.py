"""`make mlflow-up`: a tracking server without Docker."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.slow]
pytest.importorskip("flask_wtf", reason="the extra server is not installed")
SCRIPT = Path(__file__).parents[2] / "mlflow" / "local_server.py"


def act(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *arguments, "--folder", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)


def exported(output: str) -> dict[str, str]:
    """What a shell knows after the lines that begin with export."""
    lines = "\n".join(line for line in output.splitlines() if line.startswith("export "))
    found = subprocess.run(
        ["sh", "-c", f"{lines}\nenv"], capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]}
    )
    return dict(line.split("=", 1) for line in found.stdout.splitlines() if line.startswith("MLFLOW_"))


def test_it_comes_up_with_accounts_takes_runs_and_goes_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.tracking import MlflowClient
    from servers.processes import free_ports

    port = str(free_ports(1)[0])
    first = act(tmp_path, "up", "--port", port, "--auth")
    try:
        assert first.returncode == 0, first.stderr
        settings = exported(first.stdout)
        uri = settings["MLFLOW_TRACKING_URI"]
        assert uri == f"http://127.0.0.1:{port}"
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{uri}/api/2.0/mlflow/experiments/search?max_results=1")
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        client = MlflowClient(uri)
        run = client.create_run(client.create_experiment("local"))
        client.log_text(run.info.run_id, "hello", "note.txt")
        assert next((tmp_path / "mlartifacts").rglob("note.txt")).read_text() == "hello"

        again = act(tmp_path, "up", "--port", port, "--auth")
        assert "runs already" in again.stdout
        other = act(tmp_path / "other", "up", "--port", port)
        assert (other.returncode, other.stderr.count("answers at")) == (1, 1)
    finally:
        last = act(tmp_path, "down")
    assert last.returncode == 0
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{uri}/health")
    assert "No MLflow server" in act(tmp_path, "down").stdout
