"""OpenStack Swift with its S3 interface on loopback: a real server with real signatures, from one Python package.

`SWIFT_ENVIRONMENT` names the virtual environment that has it (`make test-integration` makes one). One object server,
one replica, files in a folder of the test. Its user is `test:tester`, its secret `password`.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path

from servers.processes import ServerProcess, free_ports, listens

ROOT = Path(__file__).parents[3]
SERVERS = ("account", "container", "object", "proxy")
PIPELINE = (
    "catch_errors healthcheck cache listing_formats bulk s3api tempauth slo versioned_writes symlink proxy-server"
)
# With one replica nobody stands in for a server that answers late: on busy cores half a second is too little, and a
# server suspected ten times is asked no more for a minute.
PATIENCE = "conn_timeout = 20\nnode_timeout = 60\n"
FILTERS = {
    "catch_errors": "catch_errors",
    "healthcheck": "healthcheck",
    "cache": "memcache",
    "listing_formats": "listing_formats",
    "bulk": "bulk",
    "s3api": "s3api",
    "tempauth": "tempauth",
    "slo": "slo",
    "versioned_writes": "versioned_writes",
    "symlink": "symlink",
}


def installation() -> Path | None:
    """Return the virtual environment that holds Swift, None if there is none."""
    folder = Path(os.environ.get("SWIFT_ENVIRONMENT", ROOT / ".venv-swift"))
    return folder if (folder / "bin" / "swift-proxy-server").is_file() else None


class SwiftServer:
    """The four processes of a Swift installation in one folder; may be stopped and started again."""

    name = "swift"
    access_key = "test:tester"
    secret_key = "password"
    authority: Path | None = None

    def __init__(self, folder: Path, installed: Path) -> None:
        self.folder = folder
        self._bin = installed / "bin"
        self._processes: list[ServerProcess] = []
        self._ports = dict(zip(SERVERS, free_ports(len(SERVERS)), strict=True))
        self.endpoint = f"http://127.0.0.1:{self._ports['proxy']}"
        self._configure()

    def start(self) -> None:
        """Start all processes; the proxy last, since one that is up before the others denies buckets that are there."""
        for server in SERVERS:
            command = [self._bin / "python", self._bin / f"swift-{server}-server", self.folder / f"{server}.conf"]
            process = ServerProcess(command, self.folder / f"{server}.log")
            self._processes.append(process)
            process.wait_until(lambda port=self._ports[server]: listens(port))

    def stop(self) -> None:
        """Kill all processes, as a power cut would."""
        for process in reversed(self._processes):  # the proxy first
            process.kill()
        self._processes.clear()

    end = stop

    def files(self) -> list[Path]:
        """Return the files on disk that hold the content of objects."""
        return sorted((self.folder / "nodes").rglob("*.data"))

    def _configure(self) -> None:
        (self.folder / "nodes" / "d1").mkdir(parents=True)
        hashes = "[swift-hash]\nswift_hash_path_suffix = test\nswift_hash_path_prefix = test\n"
        policies = "[storage-policy:0]\nname = single\ndefault = yes\n"
        (self.folder / "swift.conf").write_text(hashes + policies)
        for server in SERVERS[:3]:
            self._build_ring(server)
            (self.folder / f"{server}.conf").write_text(self._back_server(server))
        (self.folder / "proxy.conf").write_text(self._proxy())

    def _build_ring(self, server: str) -> None:
        builder = self.folder / f"{server}.builder"
        for arguments in (
            ["create", "4", "1", "0"],
            ["add", f"r1z1-127.0.0.1:{self._ports[server]}/d1", "1"],
            ["rebalance"],
        ):
            command = [self._bin / "python", self._bin / "swift-ring-builder", builder, *arguments]
            subprocess.run(command, check=True, capture_output=True)

    def _default(self, server: str) -> str:
        return (
            f"[DEFAULT]\nbind_ip = 127.0.0.1\nbind_port = {self._ports[server]}\nworkers = 0\n"
            f"swift_dir = {self.folder}\nlog_statsd_host =\nlog_level = ERROR\nlog_address = {self.folder}/none\n"
            f"user = {_user()}\n"
        )

    def _back_server(self, server: str) -> str:
        return (
            f"{self._default(server)}devices = {self.folder}/nodes\nmount_check = false\n"
            f"disable_fallocate = true\nrecon_cache_path = {self.folder}\n"
            f"[pipeline:main]\npipeline = {server}-server\n"
            f"[app:{server}-server]\nuse = egg:swift#{server}\n{PATIENCE}"
        )

    def _proxy(self) -> str:
        filters = "".join(f"[filter:{name}]\nuse = egg:swift#{egg}\n{_options(name)}" for name, egg in FILTERS.items())
        return (
            f"{self._default('proxy')}[pipeline:main]\npipeline = {PIPELINE}\n"
            "[app:proxy-server]\nuse = egg:swift#proxy\nallow_account_management = true\naccount_autocreate = true\n"
            f"{PATIENCE}error_suppression_limit = 1000000\n{filters}"
        )


def _options(name: str) -> str:
    if name == "tempauth":
        user, _, member = SwiftServer.access_key.partition(":")
        return f"user_{user}_{member} = {SwiftServer.secret_key} .admin\n"
    if name == "s3api":
        return "s3_acl = false\nauth_pipeline_check = false\nlocation = us-east-1\ncheck_bucket_owner = false\n"
    if name == "versioned_writes":
        return "allow_object_versioning = true\n"
    return ""


def _user() -> str:
    return pwd.getpwuid(os.getuid()).pw_name
