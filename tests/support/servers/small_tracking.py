"""MLflow's server on SQLite: seconds to start, and the same interface as the one that is deployed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from servers.processes import ServerProcess, free_ports, is_healthy

USERNAME, PASSWORD = "admin", "a-long-password"


class SmallTrackingServer:
    """One MLflow server in `folder`, which may be killed and started again.

    Args:
        folder: its database, artifacts and log.
        authentication: ask clients for `USERNAME` and `PASSWORD`, and remember a checked password for as long as the
            deployed server does; needs Flask-WTF.
    """

    def __init__(self, folder: Path, *, authentication: bool = False) -> None:
        (self._port,) = free_ports(1)
        self.uri = f"http://127.0.0.1:{self._port}"
        self._log = folder / "server.log"
        self._process: ServerProcess | None = None
        self._environment = {
            **os.environ,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "a-key-for-forms",
        }
        self._command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self._port)]
        self._command += ["--backend-store-uri", f"sqlite:///{folder / 'server.db'}", "--workers", "1"]
        self._command += ["--artifacts-destination", str(folder / "artifacts")]
        if authentication:
            settings = folder / "auth.ini"
            settings.write_text(
                "[mlflow]\ndefault_permission = NO_PERMISSIONS\nauth_cache_ttl_seconds = 60\n"
                f"database_uri = sqlite:///{folder / 'users.db'}\n"
                f"admin_username = {USERNAME}\nadmin_password = {PASSWORD}\n"
                "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
            )
            self._environment["MLFLOW_AUTH_CONFIG_PATH"] = str(settings)
            self._command += ["--app-name", "basic-auth"]

    def start(self) -> None:
        """Start the server, unless it runs, and wait until it is healthy."""
        if self._process is not None:
            return
        self._process = ServerProcess(self._command, self._log, self._environment, whole_tree=True)
        self._process.wait_until(lambda: is_healthy(self.uri))

    def kill(self) -> None:
        """End the server at once."""
        if self._process is not None:
            self._process.kill()
            self._process = None
