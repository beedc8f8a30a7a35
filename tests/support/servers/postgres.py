"""PostgreSQL on loopback in a folder of its own, from the Debian package `postgresql`.

It refuses to run as root, so root starts it as the user `postgres`, which the package makes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from servers.processes import ServerError, ServerProcess, free_ports

USER = "mlflow"
PASSWORD = "a-password"
SYSTEM_USER = "postgres"


def programs() -> Path | None:
    """Return the folder with the programs of the newest version that is installed; None if there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    there = shutil.which("initdb")
    return Path(there).resolve().parent if there else None


class PostgresServer:
    """One database cluster; may be stopped and started again."""

    def __init__(self, installed: Path) -> None:
        # Not below pytest's folder: that is closed to other users, and the socket's path must be short.
        self._folder = Path(tempfile.mkdtemp(prefix="agent0-postgres-"))
        self._bin = installed
        self._user = SYSTEM_USER if os.geteuid() == 0 else None
        (self._port,) = free_ports(1)
        self._process: ServerProcess | None = None
        self._make_cluster()

    def environment(self, database: str) -> dict[str, str]:
        """Return the variables by which PostgreSQL's client library finds a database."""
        return {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self._port),
            "PGUSER": USER,
            "PGPASSWORD": PASSWORD,
            "PGDATABASE": database,
        }

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        options = [f"-p{self._port}", "-k", "", "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        command = [self._bin / "postgres", "-D", self._folder / "data", *options]
        self._process = ServerProcess(command, self._folder / "log", user=self._user)
        self._process.wait_until(lambda: self._run("psql", "-c", "SELECT 1").returncode == 0)

    def stop(self) -> None:
        """Kill the server, as a power cut would."""
        if self._process is not None:
            self._process.kill()

    def end(self) -> None:
        """Kill the server and remove its files."""
        self.stop()
        shutil.rmtree(self._folder)

    def create_database(self, name: str) -> None:
        """Create an empty database."""
        self._checked("psql", "-c", f'CREATE DATABASE "{name}"')

    def dump(self, database: str, file: Path) -> None:
        """Write a backup of a database."""
        file.write_bytes(self._checked("pg_dump", "--format=custom", database))

    def restore(self, database: str, file: Path) -> None:
        """Bring a backup back into a new database."""
        self.create_database(database)
        self._checked("pg_restore", "--exit-on-error", f"--dbname={database}", str(file))

    def _checked(self, program: str, *arguments: str) -> bytes:
        done = self._run(program, *arguments)
        if done.returncode:
            raise ServerError(f"{program} failed: {done.stderr.decode(errors='replace')}")
        return done.stdout

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        environment = {**os.environ, **self.environment("postgres")}
        return subprocess.run([self._bin / program, *arguments], env=environment, capture_output=True, check=False)

    def _make_cluster(self) -> None:
        password = self._folder / "password"
        password.write_text(PASSWORD)
        for path in (self._folder, password):
            if self._user:
                shutil.chown(path, self._user, self._user)
        options = ["--auth=scram-sha-256", f"--username={USER}", f"--pwfile={password}", "--encoding=UTF8", "--no-sync"]
        subprocess.run(
            [self._bin / "initdb", *options, "-D", self._folder / "data"],
            user=self._user,
            group=self._user,
            extra_groups=[] if self._user else None,
            cwd=self._folder,
            capture_output=True,
            check=True,
        )
