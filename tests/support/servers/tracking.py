"""MLflow's server as `mlflow/compose.yaml` deploys it, on loopback.

Its command and its environment are read from there, and only addresses and secrets are replaced: what the tests use is
what is shipped.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol

import yaml

from servers.postgres import PostgresServer
from servers.processes import ServerProcess, free_ports, is_healthy

DEPLOYMENT = Path(__file__).parents[3] / "mlflow"
FILES = DEPLOYMENT / "kubernetes" / "base"
BUCKET = "agent0-mlflow"
USERNAME = "admin"
PASSWORD = "a-long-password"


class Storage(Protocol):
    """What the server must know of its S3 server."""

    endpoint: str
    access_key: str
    secret_key: str
    authority: Path | None


class TrackingServer:
    """One MLflow server with basic authentication; may be stopped and started again."""

    def __init__(self, folder: Path, database: PostgresServer, storage: Storage, name: str = "mlflow") -> None:
        (self._port,) = free_ports(1)
        self._log = folder / "mlflow.log"
        self._process: ServerProcess | None = None
        self.uri = f"http://127.0.0.1:{self._port}"
        service = yaml.safe_load((DEPLOYMENT / "compose.yaml").read_text())["services"]["mlflow"]
        self._command = self._as_here(service["command"])
        self._environment = {**_own_environment(), **self._settings(service, database.environment(name), storage)}

    def start(self) -> None:
        """Start the server and wait until it is healthy."""
        self._process = ServerProcess(self._command, self._log, self._environment, whole_tree=True)
        self._process.wait_until(lambda: is_healthy(self.uri))

    def stop(self) -> None:
        """Kill the server, as a power cut would."""
        if self._process is not None:
            self._process.kill()

    end = stop

    def client_environment(self) -> dict[str, str]:
        """Return what a client of the server needs: no key of its storage."""
        return {
            "MLFLOW_TRACKING_URI": self.uri,
            "MLFLOW_TRACKING_USERNAME": USERNAME,
            "MLFLOW_TRACKING_PASSWORD": PASSWORD,
        }

    def _as_here(self, command: list[str]) -> list[str]:
        """The command with this machine's Python and address."""
        program, *arguments = command
        if program != "mlflow":
            raise ValueError(f"The service runs {program}, not mlflow.")
        here = {"--host=0.0.0.0": "--host=127.0.0.1", "--port=5000": f"--port={self._port}"}
        if missing := [argument for argument in here if argument not in arguments]:
            raise ValueError(f"The service's command lacks {missing}.")
        return [sys.executable, "-m", "mlflow", *(here.get(argument, argument) for argument in arguments)]

    def _settings(self, service: dict[str, Any], database: dict[str, str], storage: Storage) -> dict[str, str]:
        settings = {
            **service["environment"],
            **database,
            "MLFLOW_S3_ENDPOINT_URL": storage.endpoint,
            "AWS_ACCESS_KEY_ID": storage.access_key,
            "AWS_SECRET_ACCESS_KEY": storage.secret_key,
            "MLFLOW_AUTH_CONFIG_PATH": str(FILES / "auth.ini"),
            "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "a-key-for-forms",
            "MLFLOW_SERVER_ALLOWED_HOSTS": "127.0.0.1:*",
            "HOME": str(self._log.parent),
        }
        if storage.authority is not None:
            settings["AWS_CA_BUNDLE"] = str(storage.authority)
        if unset := [name for name, value in settings.items() if "$" in value]:
            raise ValueError(f"The service's variables {unset} have no value here.")
        return settings


def _own_environment() -> dict[str, str]:
    """This process's variables without those that would change what the server does."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MLFLOW_", "PG"))}


def create_bucket(storage: Storage) -> None:
    """Create the server's bucket with the program that the deployment uses."""
    environment = {
        **_own_environment(),
        "AWS_ENDPOINT_URL_S3": storage.endpoint,
        "AWS_ACCESS_KEY_ID": storage.access_key,
        "AWS_SECRET_ACCESS_KEY": storage.secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
        **({"AWS_CA_BUNDLE": str(storage.authority)} if storage.authority else {}),
    }
    subprocess.run([sys.executable, FILES / "create_bucket.py", BUCKET], env=environment, check=True)
