"""A Docker daemon of the test's own, and a base image with this machine's Python, where no registry can be reached.

The daemon has a private socket and touches no network of the host: containers get the host's network or none. The base
image is Debian, made by mmdebstrap, with the certificates that this machine trusts and a copy of the Python that runs
the tests, because Debian's own is older than some pinned packages allow.
"""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"
"""What an image's labels say."""
TORCH = "torch==2.13.0"
LIBRARIES = (
    "ca-certificates", "libbz2-1.0", "libffi8", "liblzma5", "libncursesw6", "libreadline8", "libsqlite3-0", "libssl3",
    "libuuid1", "zlib1g",
)  # fmt: skip
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
CERTIFICATES = Path("/usr/local/share/ca-certificates")


def obstacle(folder: Path, least_free: float) -> str | None:
    """Say why no image can be built here; None where it can."""
    if os.geteuid() != 0:
        return "a Docker daemon needs root"
    for program in ("dockerd", "docker", "mmdebstrap"):
        if shutil.which(program) is None:
            return f"{program} is not installed (apt-get install docker.io mmdebstrap)"
    if Path(sys.base_prefix) == Path("/usr"):
        return "this Python is the system's own, which cannot be copied into an image"
    if (free := shutil.disk_usage(folder).free) < least_free:
        return f"{free / 1e9:.0f} GB are free in {folder}, fewer than {least_free / 1e9:.0f}"
    return None


def client() -> str:
    """Return the command of the client that has a builder: Debian's, where another stands before it without one."""
    return "/usr/bin/docker" if Path("/usr/bin/docker").is_file() else "docker"


@contextmanager
def daemon(folder: Path) -> Iterator[dict[str, str]]:
    """Run a daemon that keeps everything in `folder`; give the environment of its clients."""
    socket = folder / "docker.sock"
    settings = {
        "data-root": str(folder / "data"),
        "exec-root": str(folder / "exec"),
        "pidfile": str(folder / "pid"),
        "hosts": [f"unix://{socket}"],
        "iptables": False,
        "ip6tables": False,
        "bridge": "none",
        "ip-forward": False,
        "ip-masq": False,
    }
    (folder / "daemon.json").write_text(json.dumps(settings))
    environment = {**os.environ, "DOCKER_HOST": f"unix://{socket}", "DOCKER_BUILDKIT": "1"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            ["dockerd", "--config-file", str(folder / "daemon.json")], stdout=log, stderr=log, start_new_session=True
        )
        try:
            deadline = time.monotonic() + 60
            while subprocess.run([client(), "info"], env=environment, capture_output=True, check=False).returncode:
                assert process.poll() is None, (folder / "log").read_text()[-2000:]
                assert time.monotonic() < deadline, (folder / "log").read_text()[-2000:]
                time.sleep(0.5)
            yield environment
        finally:
            process.terminate()
            process.wait(timeout=60)
            # Layers hold a hundred thousand files: Python's own removal takes minutes.
            subprocess.run(["rm", "-rf", "--one-file-system", str(folder / "data")], check=False)


def make_base_image(name: str, folder: Path, environment: dict[str, str]) -> None:
    """Make an image of Debian with this machine's certificates and Python."""
    python = Path(sys.base_prefix)
    leave_out = [f"--exclude={name}" for name in ("*/site-packages/*", "*/__pycache__", "./lib/python3*/test", "*.a")]
    copied = f'tar -C {python} {" ".join(leave_out)} -c . | tar -C "$1/usr/local" -x --no-same-owner'
    hooks = [copied, 'chroot "$1" ldconfig']
    if CERTIFICATES.is_dir():
        place = f'"$1{CERTIFICATES}"'
        hooks += [f'mkdir -p {place} && cp -r {CERTIFICATES}/. {place} && chroot "$1" update-ca-certificates']
    archive = folder / "base.tar"
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(LIBRARIES)}"]
    command += [f"--customize-hook={hook}" for hook in hooks]
    run([*command, "bookworm", str(archive)])
    change = f"ENV PATH={PATH} LANG=C.UTF-8 PIP_CERT={BUNDLE}"
    run([client(), "import", "--change", change, str(archive), name], env=environment)
    archive.unlink()


def restricted(image: str, *command: str) -> list[str]:
    """Return the command that runs another one in an image as a restricted pod does, without a network."""
    limits = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--tmpfs", "/tmp:exec"]
    return [client(), "run", "--rm", "--interactive", "--network", "none", *limits, image, *command]


@contextmanager
def pip_arguments(folder: Path, torch_of_this_machine: bool) -> Iterator[list[str]]:
    """Give build arguments by which an image gets what this machine's pip would get.

    With `torch_of_this_machine`, torch is fetched by this machine's pip, from wherever that is configured to find it,
    and served on loopback; without, the index has it.
    """
    pip = [sys.executable, "-m", "pip"]
    index = subprocess.run([*pip, "config", "get", "global.index-url"], capture_output=True, text=True, check=False)
    url = os.environ.get("PIP_INDEX_URL") or index.stdout.strip()
    given = {"PIP_INDEX_URL": url} if url else {}
    with ExitStack() as stack:
        if torch_of_this_machine:
            wheels = folder / "wheels"
            run([*pip, "download", "--quiet", "--no-deps", "--dest", str(wheels), TORCH])
            given["PIP_FIND_LINKS"] = stack.enter_context(_served(wheels))
        yield [part for item in given.items() for part in ("--build-arg", "=".join(item))]


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def run(command: list[str], env: dict[str, str] | None = None, **options: object) -> str:
    """Run a command to its end and return what it printed; its last words are the message if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{' '.join(command)[:300]}\n{(done.stdout + done.stderr)[-4000:]}"
    printed: str = done.stdout
    return printed


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Log nothing."""
