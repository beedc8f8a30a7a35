"""The images' recipes keep what images/README.md says of them."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from agent0.extras import EXTRAS

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "images"
FOLDERS = sorted(path.parent.name for path in IMAGES.glob("*/Dockerfile"))
SERVERS = ("mlflow", "sandbox")
COMPONENTS = {"agent0-python": "constraints.txt", "agent0-gpu": "images/agent0-gpu/constraints.txt"}
"""Images of components, each with the list that pins its versions."""
LEFT_OUT = {
    "gym": "a need of reasoning-gym is compiled with a C compiler, which no image has while it is built",
    "smollm2": "it reads the file of a package that no image has, a model to begin with on a machine of one's own",
    "zero3": "DeepSpeed compiles its kernels with a CUDA toolkit and a C++ compiler, which no image has",
    "verifiers": "an environment is a package of its authors', which an image of one's own adds together with it",
}
PIP_ARGUMENTS = {"PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"}


def instructions(folder: str) -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, arguments), comments left out and continued lines joined."""
    text = (IMAGES / folder / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in joined.splitlines()]


def stages(folder: str) -> list[list[tuple[str, str]]]:
    """The instructions of each stage, without those before the first FROM."""
    found: list[list[tuple[str, str]]] = []
    for instruction in instructions(folder):
        if instruction[0] == "FROM":
            found.append([])
        if found:
            found[-1].append(instruction)
    return found


def extras() -> dict[str, list[str]]:
    project: dict[str, dict[str, list[str]]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project["optional-dependencies"]


def installed_extras(folder: str) -> list[str]:
    """The extras that an image's layer of dependencies is made of."""
    (run,) = (value for _, value in stages(folder)[0] if "requirements.py pyproject.toml" in value)
    found = re.search(r"requirements\.py pyproject\.toml ([a-z0-9 ]+) >", run)
    assert found
    return found[1].split()


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, IMAGES / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def requirements_of(name: str, wanted: set[str]) -> list[Requirement]:
    """What a package asks for with these extras; nothing for vLLM, which is not installed where tests run."""
    try:
        lines = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []
    found = [Requirement(line) for line in lines]
    return [
        requirement
        for requirement in found
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": one}) for one in ("", *wanted))
    ]


def test_there_is_an_image_for_every_role() -> None:
    assert FOLDERS == ["agent0-gpu", "agent0-python", "mlflow", "sandbox"]
    assert sorted(tool("build").NAMES) == FOLDERS


@pytest.mark.parametrize("folder", FOLDERS)
def test_an_image_is_built_in_stages_on_a_base_that_can_be_chosen(folder: str) -> None:
    assert instructions(folder)[0] == ("ARG", "BASE_IMAGE=python:3.11-slim-bookworm")
    build, final = stages(folder)
    assert build[0] == ("FROM", "${BASE_IMAGE} AS build")
    assert final[0] == ("FROM", "${BASE_IMAGE}")
    assert {value for name, value in build if name == "ARG"} == PIP_ARGUMENTS
    assert not PIP_ARGUMENTS & {value for name, value in final if name == "ARG"}
    assert not any("pip install" in value for name, value in final if name == "RUN")


@pytest.mark.parametrize("folder", FOLDERS)
def test_an_image_is_not_root_and_leaves_the_entrypoint_to_kubeflow(folder: str) -> None:
    final = stages(folder)[-1]
    assert [value for name, value in final if name == "USER"] == ["10001:10001"]
    assert "ENTRYPOINT" not in {name for name, _ in instructions(folder)}
    after_user = [name for name, _ in final[[name for name, _ in final].index("USER") :]]
    assert "RUN" not in after_user
    assert all(isinstance(json.loads(value), list) for name, value in final if name == "CMD")


@pytest.mark.parametrize("folder", FOLDERS)
def test_an_image_names_its_version_and_commit(folder: str) -> None:
    final = stages(folder)[-1]
    labels = " ".join(value for name, value in final if name == "LABEL")
    assert {"AGENT0_VERSION=unknown", "AGENT0_COMMIT=unknown"} <= {value for name, value in final if name == "ARG"}
    assert 'org.opencontainers.image.revision="${AGENT0_COMMIT}"' in labels
    assert 'org.opencontainers.image.version="${AGENT0_VERSION}"' in labels
    if folder != "mlflow":
        assert any("AGENT0_COMMIT=${AGENT0_COMMIT}" in value for name, value in final if name == "ENV")


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_install_is_pinned(folder: str) -> None:
    build = stages(folder)[0]
    environment = " ".join(value for name, value in build if name == "ENV")
    installs = [part for name, value in build if name == "RUN" for part in value.split("&&") if "pip install" in part]
    assert installs
    for install in installs:
        if "PIP_CONSTRAINT=" in environment:
            constraints = re.search(r"PIP_CONSTRAINT=/src/(\S+)", environment)
            assert constraints
            assert (ROOT / constraints[1]).is_file()
        else:
            assert "--no-deps -r" in install
    torch = [install for install in installs if re.search(r"\btorch\b", install)]
    assert all("torch==2.13.0" in install for install in torch)
    copied = [value.split()[:-1] for name, value in build if name == "COPY"]
    assert all((ROOT / source).exists() for sources in copied for source in sources)


def test_the_gpu_image_has_every_extra_that_a_stage_can_ask_for() -> None:
    asked = set(EXTRAS)
    assert asked <= set(extras())
    assert asked - {"kfp"} - set(installed_extras("agent0-gpu")) == set(LEFT_OUT)  # it has kfp's executor alone
    readme = (IMAGES / "README.md").read_text(encoding="utf-8")
    assert all(f"`{extra}`" in readme for extra in LEFT_OUT)


@pytest.mark.parametrize(("folder", "constraints"), COMPONENTS.items())
def test_a_component_image_pins_what_its_extras_need(folder: str, constraints: str) -> None:
    lines = (ROOT / constraints).read_text(encoding="utf-8").splitlines()
    pins = {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines)}
    needed = [
        Requirement(line)
        for line in tool("requirements").requirements(ROOT / "pyproject.toml", installed_extras(folder))
    ]
    seen: set[str] = set()
    while needed:
        requirement = needed.pop()
        name = canonicalize_name(requirement.name)
        if name == "setuptools" or str(requirement) in seen:  # constraints.txt leaves it open
            continue
        seen.add(str(requirement))
        assert name in pins, f"{constraints} lacks {name}"
        assert requirement.specifier.contains(pins[name], prereleases=True), f"{name} {pins[name]} is not {requirement}"
        needed += requirements_of(name, requirement.extras)
    assert "kubernetes" in {canonicalize_name(Requirement(line).name) for line in seen}


@pytest.mark.parametrize("folder", COMPONENTS)
def test_a_component_image_has_the_executor_of_kubeflow_without_its_pins(folder: str) -> None:
    installs = [value for name, value in stages(folder)[0] if name == "RUN" and "kfp" in value]
    (wanted,) = (line for line in extras()["kfp"] if line.startswith("kfp["))
    assert installs == [f'pip install --no-deps "{wanted.replace("[kubernetes]", "")}"']


@pytest.mark.parametrize("folder", FOLDERS)
def test_an_old_builder_can_read_the_recipe(folder: str) -> None:
    text = (IMAGES / folder / "Dockerfile").read_text(encoding="utf-8")
    assert not re.search(r"^#\s*syntax=", text, re.MULTILINE)
    assert "<<" not in text
    assert "--mount" not in text


@pytest.mark.parametrize("folder", FOLDERS)
def test_servers_and_only_servers_have_a_health_check(folder: str) -> None:
    names = {name for name, _ in stages(folder)[-1]}
    assert ("HEALTHCHECK" in names) == ("EXPOSE" in names) == (folder in SERVERS)


@pytest.mark.parametrize("file", ["images/agent0-gpu/constraints.txt", "images/mlflow/requirements.txt"])
def test_lists_of_their_own_are_complete_and_agree_with_the_project(file: str) -> None:
    lines = [line for line in (ROOT / file).read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==\S+", line) for line in lines)
    ours = dict(line.split("==") for line in lines)
    pins = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    )
    for name in ("kfp", "mlflow", "torch", "transformers", "trl", "boto3"):
        if name in ours:
            assert ours[name] == pins[name], name
    if "gpu" in file:
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
            "optional-dependencies"
        ]
        assert extras["vllm"] == [f"vllm=={ours['vllm']}"]


def test_the_cuda_compiler_of_the_gpu_image_belongs_to_its_headers() -> None:
    lines = (IMAGES / "agent0-gpu" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    parts = ["cuda-toolkit", "nvidia-nvvm", *(f"nvidia-cuda-{name}" for name in ("cccl", "crt", "nvcc", "runtime"))]
    assert {".".join(pins[part].split(".")[:2]) for part in parts} == {"13.0"}


def test_the_build_context_holds_no_secrets_and_nothing_heavy() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert {".git", ".venv*", "runs", "mlartifacts", "**/.env", "**/*.pem", "**/*.key"} <= set(ignored)


def test_requirements_are_those_of_the_chosen_extras() -> None:
    requirements = tool("requirements").requirements
    found = requirements(ROOT / "pyproject.toml", ["sandbox", "s3"])
    assert set(extras()["sandbox"]) | set(extras()["s3"]) <= set(found)
    assert not any(line.startswith("torch") for line in found)
    with pytest.raises(SystemExit, match="no extra 'sandbx'"):
        requirements(ROOT / "pyproject.toml", ["sandbx"])


def test_the_build_command_names_version_commit_and_base() -> None:
    build = tool("build")
    options = build.parse(
        ["sandbox", "--base-image", "lab/python:3.11", "--build-arg", "PIP_INDEX_URL=x", "--commit", "abc"]
    )
    command = build.build_command("sandbox", "r/agent0-sandbox:1", options)
    assert command[:4] == ["docker", "build", "--file", "images/sandbox/Dockerfile"]
    assert {"BASE_IMAGE=lab/python:3.11", "PIP_INDEX_URL=x", "AGENT0_COMMIT=abc"} <= set(command)
    assert command[-1] == "."


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["agent0-pyhton"], "there is no image 'agent0-pyhton'"),
        (["sandbox", "--build-arg", "X"], "takes NAME=VALUE"),
        (["sandbox", "--push", "--commit", "abc-dirty"], "commit first"),
        (["sandbox", "--docker", "no-such-docker"], "sandbox: "),
    ],
)
def test_bad_input_of_the_build_script_is_one_sentence(arguments: list[str], message: str) -> None:
    done = subprocess.run(
        [sys.executable, str(IMAGES / "build.py"), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr
