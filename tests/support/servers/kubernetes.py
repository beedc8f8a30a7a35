"""A Kubernetes API server with etcd: real objects, validation, RBAC and admission; no controllers, nodes or networks.

So service accounts are made by hand, a Job makes no pod, a claim stays Pending unless a test binds it, and a network
policy holds nobody up. `tests/support/install_kubernetes.sh` builds it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from kubernetes import config

from servers.processes import ServerProcess, free_ports, listens
from servers.tls import Certificate, make_certificate

ADMINISTRATOR = "administrator"
OWN_CRDS = Path(__file__).parent / "crds"
GROUPS = {ADMINISTRATOR: "system:masters"}


def installation() -> Path | None:
    """Return the folder of the programs, if all of them are there."""
    folder = Path(os.environ.get("KUBERNETES_SERVER", Path(__file__).parents[3] / ".kubernetes"))
    there = (folder / "kube-apiserver").is_file() and (folder / "crds").is_dir()
    return folder if there and shutil.which("etcd") and shutil.which("kubectl") else None


class KubernetesServer:
    """One API server on loopback; each user name is somebody, and may what RBAC says.

    Args:
        folder: an empty folder for data, keys and logs.
        installed: the folder with the programs.
        users: who can sign in, beside the administrator.
    """

    def __init__(self, folder: Path, installed: Path, users: tuple[str, ...] = ()) -> None:
        self._folder, self._installed = folder, installed
        self._tokens = {user: secrets.token_hex(16) for user in (ADMINISTRATOR, *users)}
        self._processes: list[ServerProcess] = []
        self._certificate: Certificate = make_certificate(folder)
        self.url = ""

    def start(self) -> None:
        """Start both, and wait until the API is ready."""
        store, peers, port = free_ports(3)
        self.url = f"https://127.0.0.1:{port}"
        clients, neighbours = f"http://127.0.0.1:{store}", f"http://127.0.0.1:{peers}"
        self._run(
            "etcd",
            *(f"--data-dir={self._folder / 'data'}", f"--initial-cluster=default={neighbours}"),
            *(f"--listen-client-urls={clients}", f"--advertise-client-urls={clients}"),
            *(f"--listen-peer-urls={neighbours}", f"--initial-advertise-peer-urls={neighbours}"),
            "--unsafe-no-fsync",
        ).wait_until(lambda: listens(store))
        self._write_keys()
        self._run(
            self._installed / "kube-apiserver",
            *("--bind-address=127.0.0.1", f"--secure-port={port}", f"--etcd-servers={clients}"),
            *(f"--tls-cert-file={self._certificate.certificate}", f"--tls-private-key-file={self._certificate.key}"),
            *("--service-cluster-ip-range=10.0.0.0/24", "--authorization-mode=RBAC", "--profiling=false"),
            *(f"--token-auth-file={self._folder / 'tokens.csv'}", "--service-account-issuer=https://127.0.0.1"),
            f"--service-account-key-file={self._folder / 'accounts.key'}",
            f"--service-account-signing-key-file={self._folder / 'accounts.key'}",
        ).wait_until(lambda: self.kubectl("get", "--raw=/readyz", check=False).returncode == 0)

    def add_custom_resources(self) -> None:
        """Make the kinds of Kubeflow Trainer, Kueue and Kubeflow's profiles known."""
        files = [*(self._installed / "crds").glob("*.yaml"), *OWN_CRDS.glob("*.yaml")]
        self.kubectl("apply", "--server-side", *(f"--filename={file}" for file in files))
        waiting = ("wait", "--for=condition=established", "crd", "--all", "--timeout=60s")
        deadline = time.monotonic() + 60
        while self.kubectl(
            *waiting, check=time.monotonic() > deadline
        ).returncode:  # fails before there is any condition
            time.sleep(0.1)

    def end(self) -> None:
        """Stop both."""
        for process in reversed(self._processes):
            process.stop()

    def kubeconfig(self, user: str = ADMINISTRATOR, namespace: str = "default") -> Path:
        """Return the file with which `user` signs in."""
        path = self._folder / f"{user}-{namespace}.yaml"
        parts: dict[str, Any] = {
            "clusters": {"cluster": {"server": self.url, "certificate-authority": str(self._certificate.authority)}},
            "users": {"user": {"token": self._tokens[user]}},
            "contexts": {"context": {"cluster": "tests", "user": "tests", "namespace": namespace}},
        }
        lists = {name: [{"name": "tests", **part}] for name, part in parts.items()}
        path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", "current-context": "tests", **lists}))
        return path

    def kubectl(
        self, *arguments: str | Path, given: str = "", check: bool = True, user: str = ADMINISTRATOR
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as a user, with `given` as its input; a failure shows what it said."""
        command = ["kubectl", f"--kubeconfig={self.kubeconfig(user)}", f"--cache-dir={self._folder / 'cache'}"]
        done = subprocess.run(
            [*command, *map(str, arguments)], input=given, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0 or not check, f"kubectl {arguments}: {done.stderr}"
        return done

    def client(self, user: str = ADMINISTRATOR) -> Any:
        """Return the Python client of a user."""
        return config.new_client_from_config(str(self.kubeconfig(user)))

    def apply(self, *objects: dict[str, Any]) -> None:
        """Apply objects on the server's side, as the administrator."""
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", given=yaml.safe_dump_all(objects))

    def _run(self, *command: str | Path) -> ServerProcess:
        log = self._folder / f"{Path(command[0]).name}.log"
        process = ServerProcess(command, log)
        self._processes.append(process)
        return process

    def _write_keys(self) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
        text = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
        (self._folder / "accounts.key").write_bytes(text)
        rows = [f'{token},{user},{user},"{GROUPS.get(user, "")}"' for user, token in self._tokens.items()]
        (self._folder / "tokens.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
