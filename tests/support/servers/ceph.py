"""Ceph's S3 gateway behind TLS on loopback, the strict one: a monitor, one OSD in memory, and radosgw.

From the Debian packages `radosgw ceph-mon ceph-osd ceph-common`. Its certificate is signed by an authority of the test
run. `stop` and `start` restart the gateway; the objects stay.
"""

from __future__ import annotations

import shutil
import subprocess
import uuid
from pathlib import Path

from servers.processes import ServerProcess, free_ports, listens
from servers.tls import make_certificate

PROGRAMS = ("ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")
MEMORY_BYTES = 4 << 30  # the most that objects may take; used as it fills


def is_installed() -> bool:
    """Say whether all programs are there."""
    return all(shutil.which(program) for program in PROGRAMS)


class CephServer:
    """A cluster of one in a folder."""

    name = "ceph"
    access_key = "tester"
    secret_key = "password"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port, monitor = free_ports(2)
        self._monitor = f"[v2:127.0.0.1:{monitor}]"
        self._cluster = str(uuid.uuid4())
        self._certificate = make_certificate(folder)
        self._storage: list[ServerProcess] = []
        self._gateway: ServerProcess | None = None
        self.authority: Path | None = self._certificate.authority
        self.endpoint = f"https://127.0.0.1:{self._port}"
        self._configuration = folder / "ceph.conf"
        self._configuration.write_text(self._settings())

    def start(self) -> None:
        """Start what does not run yet and wait until the gateway answers."""
        if not self._storage:
            self._start_storage()
        self._gateway = self._serve("radosgw", "-n", "client.rgw")
        self._gateway.wait_until(lambda: listens(self._port))

    def stop(self) -> None:
        """Kill the gateway."""
        if self._gateway is not None:
            self._gateway.kill()

    def end(self) -> None:
        """Kill all."""
        self.stop()
        for process in reversed(self._storage):
            process.kill()

    def _start_storage(self) -> None:
        self._make_keys()
        self._run("monmaptool", "--create", "--fsid", self._cluster, "--addv", "a", self._monitor, "monmap")
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", "monmap", "--keyring", "keyring")
        self._storage.append(self._serve("ceph-mon", "-i", "a"))
        osd = str(uuid.uuid4())
        self._run("ceph", "--connect-timeout", "120", "osd", "new", osd)
        self._run("ceph-osd", "--mkfs", "-i", "0", "--osd-uuid", osd)
        self._storage.append(self._serve("ceph-osd", "-i", "0"))
        keys = ("--access-key", self.access_key, "--secret-key", self.secret_key)
        self._run("radosgw-admin", "user", "create", "--uid", "tester", "--display-name", "Tester", *keys)

    def _make_keys(self) -> None:
        everything = ["--cap", "mon", "allow *", "--cap", "osd", "allow *", "--cap", "mgr", "allow *"]
        (self._folder / "osd").mkdir()
        for name in ("mon.", "client.admin", "client.rgw", "osd.0"):
            create = [] if (self._folder / "keyring").exists() else ["--create-keyring"]
            self._run("ceph-authtool", *create, "keyring", "--gen-key", "-n", name, *everything)

    def _serve(self, program: str, *arguments: str) -> ServerProcess:
        command = [program, "-c", self._configuration, "-f", *arguments]
        return ServerProcess(command, self._folder / f"{program}.log")

    def _run(self, program: str, *arguments: str) -> None:
        plain = program in ("monmaptool", "ceph-authtool")
        configured = [program] if plain else [program, "-c", str(self._configuration)]
        done = subprocess.run(
            [*configured, *arguments], cwd=self._folder, capture_output=True, text=True, timeout=180, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{program} {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")

    def _settings(self) -> str:
        folder, tls = self._folder, self._certificate
        frontend = f"beast ssl_endpoint=127.0.0.1:{self._port} ssl_certificate={tls.certificate}"
        settings = {
            "fsid": self._cluster,
            "mon_host": self._monitor,
            "public_addr": "127.0.0.1",
            "cluster_addr": "127.0.0.1",
            "keyring": folder / "keyring",
            "mon_data": folder / "mon",
            "osd_data": folder / "osd",
            "run_dir": folder,
            "admin_socket": "",
            "pid_file": "",
            "log_file": "",
            "log_to_stderr": "true",
            "err_to_stderr": "true",
            "crash_dir": folder,
            # One copy of everything, in memory.
            "osd_objectstore": "memstore",
            "memstore_device_bytes": MEMORY_BYTES,
            "osd_pool_default_size": 1,
            "osd_pool_default_min_size": 1,
            "mon_allow_pool_size_one": "true",
            "osd_crush_chooseleaf_type": 0,
            "osd_pool_default_pg_num": 8,
            "osd_pool_default_pg_autoscale_mode": "off",
            "mon_max_pg_per_osd": 1000,
            "mon_data_avail_crit": 0,
            # What is deleted gives its memory back within seconds.
            "rgw_gc_obj_min_wait": 5,
            "rgw_gc_processor_period": 5,
            "rgw_gc_processor_max_time": 5,
            # Its cache would wait for gateways that were killed.
            "rgw_cache_enabled": "false",
            "rgw_frontends": f"{frontend} ssl_private_key={tls.key}",
        }
        return "[global]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items())
