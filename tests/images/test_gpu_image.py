"""The GPU image, really built and looked into, without a GPU: `make test-docker IMAGE=agent0-gpu`.

Needs root, docker.io and mmdebstrap of Debian, 40 GB of disk and 4 GB of wheels; takes a quarter of an hour or more.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from tests.images.docker_daemon import client, restricted, run

pytestmark = [pytest.mark.docker, pytest.mark.timeout(7200)]

IMAGE = "agent0-gpu"
CONSTRAINTS = Path(__file__).parents[2] / "images" / IMAGE / "constraints.txt"
OURS_OR_THE_BASES = {"agent0", "pip"}


@pytest.fixture(scope="module")
def inside(image: str, environment: dict[str, str]) -> Any:
    """What a program finds in a container that is as restricted as a pod."""
    script = Path(__file__).with_name("look_inside_gpu_image.py").read_text(encoding="utf-8")
    return json.loads(run(restricted(image, "python", "-"), env=environment, input=script).splitlines()[-1])


def test_the_gpu_image_is_what_its_recipe_promises(image: str, inside: Any, environment: dict[str, str]) -> None:
    (found,) = json.loads(run([client(), "image", "inspect", image], env=environment))
    assert (found["Config"]["User"], inside["user"]) == ("10001:10001", 10001)
    assert not found["Config"]["Entrypoint"]
    assert found["Size"] < 10.5e9
    assert inside["leftovers"] == []
    assert "Usage: agent0" in inside["help"]


def test_every_package_in_the_gpu_image_is_pinned_and_nothing_else_is(inside: Any) -> None:
    lines = CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    found = {canonicalize_name(name): version for name, version in inside["versions"].items()}
    assert set(found) >= OURS_OR_THE_BASES
    assert {name: found[name] for name in found if name not in OURS_OR_THE_BASES} == pins


def test_what_the_gpu_image_holds_fits_together(image: str, environment: dict[str, str]) -> None:
    done = subprocess.run(
        restricted(image, "pip", "check"), capture_output=True, text=True, env=environment, check=False
    )
    assert done.stdout
    assert all(line.startswith("kfp ") for line in done.stdout.splitlines()), done.stdout  # whose needs no pod has


def test_its_kernels_load_and_triton_compiles_for_gpus(inside: Any) -> None:
    assert inside["cuda"].startswith("13.")
    assert not inside["cpu_build_of_vllm"]
    assert {"_C_stable_libtorch.abi3.so", "_vllm_fa2_C.abi3.so", "_vllm_fa3_C.abi3.so"} <= set(inside["kernels"])
    assert inside["rms_norm"] == "_C.rms_norm"
    assert all(inside["triton"][capability] > 1000 for capability in ("80", "90", "100"))


def test_its_sandbox_is_strict_in_a_restricted_container(image: str, environment: dict[str, str]) -> None:
    assert "Policy 'strict' is met." in run(restricted(image, "agent0", "sandbox", "check"), env=environment)
