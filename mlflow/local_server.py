"""Starts and stops a tracking server on this machine without Docker: SQLite, a local folder, loopback only.

`make mlflow-up` and `make mlflow-down` call it. It serves the same `mlflow.db` and `mlartifacts` that runs without a
server write to. Its process id, its log and, with `--auth`, its accounts are in `.mlflow-server`. For more than one
machine or many writers use compose.yaml or kubernetes/.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

START_SECONDS = 180.0
STOP_SECONDS = 15.0


class LocalServer:
    """The server of one folder."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder.resolve()
        self.state = self.folder / ".mlflow-server"
        self.log = self.state / "log.txt"
        self.password_file = self.state / "admin-password"
        self._process_file = self.state / "process"  # id and port of the server that runs
        self._port = port

    @property
    def uri(self) -> str:
        """The address of the server that runs, or of the one to start."""
        return f"http://127.0.0.1:{self._recorded()[1] if self.is_running() else self._port}"

    def is_running(self) -> bool:
        """Say whether the recorded process is there and is an MLflow server, not another that got its number."""
        process = self._recorded()[0]
        found = subprocess.run(
            ["ps", "-o", "command=", "-p", str(process)], capture_output=True, text=True, check=False
        )
        return process > 0 and "mlflow server" in found.stdout

    def start(self, with_accounts: bool) -> None:
        """Start the server and wait until it is healthy.

        Raises:
            SystemExit: it did not start; the message names the reason or the log.
        """
        if is_healthy(self.uri):
            raise SystemExit(f"Something answers at {self.uri} already; choose another port: make mlflow-up PORT=5001")
        self.state.mkdir(parents=True, exist_ok=True)
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")},
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
        command = [sys.executable, "-m", "mlflow", "server", "--host=127.0.0.1", f"--port={self._port}", "--workers=1"]
        command += [f"--backend-store-uri=sqlite:///{self.folder / 'mlflow.db'}"]
        command += [f"--artifacts-destination={self.folder / 'mlartifacts'}"]
        if with_accounts:
            command += ["--app-name=basic-auth"]
            environment |= self._accounts()
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._process_file.write_text(f"{process.pid} {self._port}\n")
        deadline = time.monotonic() + START_SECONDS
        while not is_healthy(self.uri):
            if process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                end = self.log.read_text(errors="replace").rstrip().splitlines()[-8:]
                raise SystemExit("\n".join(["MLflow did not start:", *end, f"All of it is in {self.log}."]))
            time.sleep(0.2)

    def stop(self) -> None:
        """End the server and its workers, if it runs."""
        process = self._recorded()[0]
        if self.is_running():
            os.killpg(process, signal.SIGTERM)
            deadline = time.monotonic() + STOP_SECONDS
            while self.is_running() and time.monotonic() < deadline:
                time.sleep(0.1)
            with suppress(ProcessLookupError):
                os.killpg(process, signal.SIGKILL)
        self._process_file.unlink(missing_ok=True)

    def _recorded(self) -> tuple[int, int]:
        try:
            process, port = self._process_file.read_text().split()
        except FileNotFoundError:
            return 0, 0
        return int(process), int(port)

    def _accounts(self) -> dict[str, str]:
        """Return the variables that turn accounts on; the first start makes a password for `admin`."""
        if not self.password_file.exists():
            descriptor = os.open(self.password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(24))
        settings = (Path(__file__).parent / "kubernetes/base/auth.ini").read_text()
        shared = "database_uri = postgresql+psycopg2://"
        if shared not in settings:
            raise SystemExit(f"mlflow/kubernetes/base/auth.ini has no line {shared!r}, which this script replaces.")
        own = self.state / "auth.ini"
        own.write_text(settings.replace(shared, f"database_uri = sqlite:///{self.state / 'accounts.db'}"))
        return {
            "MLFLOW_AUTH_CONFIG_PATH": str(own),
            "MLFLOW_AUTH_ADMIN_PASSWORD": self.password_file.read_text(),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(32),
        }


def is_healthy(uri: str) -> bool:
    """Say whether an MLflow server answers."""
    try:
        with urllib.request.urlopen(f"{uri}/health", timeout=10) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def main() -> None:
    """Carry out the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("up", "down"))
    parser.add_argument("--folder", type=Path, default=Path(), help="where mlflow.db and mlartifacts are; here")
    parser.add_argument("--port", type=int, default=5000)
    parser.add_argument("--auth", action="store_true", help="ask for a user name and a password")
    arguments = parser.parse_args()
    server = LocalServer(arguments.folder, arguments.port)
    if arguments.action == "down":
        print("Stopping MLflow." if server.is_running() else "No MLflow server of this folder runs.")
        server.stop()
        return
    if server.is_running():
        print(f"MLflow runs already at {server.uri}; stop it with: make mlflow-down")
    else:
        print("Starting MLflow (the first start takes about 20 s) ...", flush=True)
        server.start(arguments.auth)
        print(f"MLflow runs at {server.uri} until: make mlflow-down")
    print(f"export MLFLOW_TRACKING_URI={server.uri}")
    if arguments.auth:
        print(f'export MLFLOW_TRACKING_USERNAME=admin MLFLOW_TRACKING_PASSWORD="$(cat {server.password_file})"')


if __name__ == "__main__":
    main()
