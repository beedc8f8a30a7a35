"""The daemon and the image that a module of Docker tests asks for by its IMAGE, where that image was chosen."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.images import docker_daemon

ROOT = Path(__file__).parents[2]
CHOICE = "AGENT0_TEST_IMAGE"
IMAGES = {"agent0-python": 25e9, "agent0-gpu": 40e9}
"""The images that tests build, and the bytes that must be free for that."""


@pytest.fixture(scope="module")
def environment(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """The environment of clients of a daemon that lives as long as the module's tests."""
    chosen = os.environ.get(CHOICE, "agent0-python")
    assert chosen in IMAGES, f"{CHOICE} is {chosen!r}; tests build {' or '.join(IMAGES)}."
    if chosen != request.module.IMAGE:
        pytest.skip(f"{chosen} is the image to build; for this one: make test-docker IMAGE={request.module.IMAGE}")
    # A socket's path may have 107 characters, so the folder is not one of pytest's.
    with tempfile.TemporaryDirectory(prefix="agent0-docker-", ignore_cleanup_errors=True) as name:
        if reason := docker_daemon.obstacle(Path(name), IMAGES[chosen]):
            pytest.skip(reason)
        with docker_daemon.daemon(Path(name)) as given:
            yield given


@pytest.fixture(scope="module")
def image(request: pytest.FixtureRequest, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of the image, built by the project's own script."""
    name, folder = request.module.IMAGE, tmp_path_factory.mktemp("docker")
    docker_daemon.make_base_image("local/base:1", folder, environment)
    build = [sys.executable, str(ROOT / "images" / "build.py"), name, "--registry", "local", "--tag", "test"]
    build += ["--docker", docker_daemon.client(), "--base-image", "local/base:1", "--network", "host"]
    build += ["--commit", docker_daemon.COMMIT]
    with docker_daemon.pip_arguments(folder, torch_of_this_machine=name == "agent0-python") as arguments:
        printed = docker_daemon.run([*build, *arguments], env=environment)
    print(printed.splitlines()[-1])
    assert re.search(rf"{name} .* GB .* local .*local/{name}:test sha256:[0-9a-f]{{64}}$", printed.strip())
    return f"local/{name}:test"
