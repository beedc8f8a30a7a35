"""The package as a stranger meets it: built, installed into an empty environment, and asked without its extras."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any

import pytest
import typer
from packaging.requirements import Requirement

from agent0.cli.main import app
from agent0.extras import EXTRAS, extra_of

ROOT = Path(__file__).parents[1]
SOURCES = ("agent0", "components", "pipelines", "pyproject.toml", "README.md", "LICENSE")
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MISSING = re.compile(r"not installed|pip install 'agent0\[")

pytestmark = pytest.mark.slow


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def module(*arguments: str | Path, cwd: Path) -> str:
    command = [sys.executable, "-m", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of sdist and wheel, built of a copy of the sources, so that this checkout stays as it is."""
    source = tmp_path_factory.mktemp("source")
    unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in SOURCES:
        place = ROOT / name
        if place.is_dir():
            shutil.copytree(place, source / name, ignore=unwanted)
        else:
            shutil.copy(place, source)
    module("build", "--no-isolation", "--outdir", source / "dist", cwd=source)
    return source / "dist"


def base_distributions() -> Iterator[Distribution]:
    """What `pip install agent0` brings beside Agent0 itself."""
    wanted, seen = [Requirement(text) for text in PROJECT["dependencies"]], set()
    while wanted:
        requirement = wanted.pop()
        if requirement.name in seen or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        seen.add(requirement.name)
        found = distribution(requirement.name)
        yield found
        wanted += [Requirement(text) for text in found.requires or []]


@pytest.fixture(scope="module")
def empty(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the wheel and its base dependencies, and nothing else, for a bare interpreter."""
    folder = tmp_path_factory.mktemp("empty")
    (wheel,) = built.glob("*.whl")
    module("pip", "install", "--quiet", "--no-deps", "--no-index", "--target", folder, wheel, cwd=folder)
    for found in base_distributions():
        for top in {file.parts[0] for file in found.files or () if file.parts[0] not in ("..", "__pycache__")}:
            if not (folder / top).exists():
                (folder / top).symlink_to(found.locate_file(top))
    return folder


def agent0(empty: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    code = f"import sys; sys.path.insert(0, {str(empty)!r}); from agent0.cli.main import main; main()"
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, *arguments],
        cwd=cwd,
        env={**variables, "COLUMNS": "200", "KUBECONFIG": str(cwd / "none")},
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*path, name))
    if not hasattr(command, "commands"):
        yield path


COMMANDS = sorted(commands(typer.main.get_command(app)))
GIVEN: dict[tuple[str, ...], str] = {
    ("benchmarks", "fetch"): "gsm8k --to rows",
    ("benchmarks", "show"): "gsm8k",
    ("compare",): "one two",
    ("domains", "show"): "word_problems",
    ("evaluate",): "--model tiny",
    ("gate",): "one two",
    ("judge",): "one --url http://127.0.0.1:9 --model judge",
    ("models", "download"): "models:/agent0-executor/1 here",
    ("models", "promote"): "models:/agent0-executor/1",
    ("models", "publish"): "models:/agent0-executor/1 --registry http://127.0.0.1:9",
    ("models", "push"): "models:/agent0-executor/1 lab/executor",
    ("models", "serve"): "models:/agent0-executor/1",
    ("models", "show"): "models:/agent0-executor/1",
    ("pipeline", "cancel"): "run",
    ("pipeline", "check"): "evolution.yaml",
    ("pipeline", "compile"): "evolution --output evolution.yaml",
    ("pipeline", "diff"): "one two",
    ("pipeline", "logs"): "run",
    ("pipeline", "params"): "evolution.yaml",
    ("pipeline", "rerun"): "run",
    ("pipeline", "run"): "evolution",
    ("pipeline", "schedule"): "evaluation --cron @daily",
    ("pipeline", "show"): "evolution.yaml",
    ("pipeline", "status"): "run",
    ("pipeline", "unschedule"): "schedule",
    ("pipeline", "upload"): "evolution.yaml",
    ("plan",): "--gpus 8xH200 --recipe qwen3-8b",
    ("plugins", "backend"): "transformers",
    ("plugins", "tool"): "python print(1)",
    ("report",): "run",
    ("reproduce",): "run",
    ("sandbox", "attack"): "--help",  # needs no extra, and minutes
    ("sandbox", "run"): "program.py",
    ("tasks", "push"): "run lab/tasks",
    ("tracking", "flush"): "buffer.jsonl",
}
"""What a command is given beside its name, where it needs something."""
NEED_NOTHING = {
    ("ablations",),
    ("benchmarks", "list"),
    ("benchmarks", "show"),
    ("config",),
    ("domains", "show"),
    ("pipeline", "options"),
    ("plan",),
    ("plugins", "tool"),
    ("sandbox", "attack"),
    ("sandbox", "check"),
    ("sandbox", "run"),
    ("version",),
}
NEED_SEVERAL = {
    ("doctor",): ("train", "kfp", "tracking"),
    ("evaluate",): ("train", "eval"),
    ("evolve",): ("train", "kfp", "tracking"),
    ("reproduce",): ("train", "kfp", "tracking"),
}
"""Commands that tell at once of all that they need."""


def test_the_package_may_be_uploaded(built: Path) -> None:
    told = module("twine", "check", "--strict", *built.iterdir(), cwd=built)
    assert told.count("PASSED") == 2


def test_sdist_and_wheel_hold_the_licence_the_types_and_what_is_read_at_run_time(built: Path) -> None:
    (sdist,), (wheel,) = built.glob("*.tar.gz"), built.glob("*.whl")
    with tarfile.open(sdist) as source, zipfile.ZipFile(wheel) as packed:
        assert any(name.endswith("/LICENSE") for name in source.getnames())
        names = packed.namelist()
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    wanted = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "agent0").rglob("*")
        if path.suffix in (".py", ".toml", ".j2", ".json", ".typed") and "__pycache__" not in path.parts
    ]
    assert sorted(set(wanted) - set(names)) == []


def test_the_all_extra_is_every_other_that_a_cpu_runs() -> None:
    optional = PROJECT["optional-dependencies"]
    (line,) = optional["all"]
    assert Requirement(line).extras == set(optional) - {"all", "dev", "docs", "vllm", "zero3"}


def test_every_module_that_is_imported_comes_with_the_package_or_with_an_extra_that_there_is() -> None:
    ours = {"agent0", "agent0_kfp"}
    base = {"annotated_types", "numpy", "pyarrow", "pydantic", "pydantic_core", "rich", "typer"}
    imported = {
        name.partition(".")[0]
        for folder in ("agent0", "components", "pipelines")
        for path in (ROOT / folder).rglob("*.py")
        if not path.name.startswith("test_")
        for name in imports(path)
    }
    outside = imported - ours - base - set(sys.stdlib_module_names)
    assert {name for name in outside if not extra_of(name)} == set()
    assert {module for modules in EXTRAS.values() for module in modules} - outside == {"kubernetes_validate"}
    assert set(EXTRAS) <= set(PROJECT["optional-dependencies"])


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_without_extras_a_command_works_or_names_the_one_to_install(
    command: tuple[str, ...], empty: Path, tmp_path: Path
) -> None:
    (tmp_path / "program.py").write_text("print(6 * 7)")
    (tmp_path / "evolution.yaml").write_text("pipelineInfo: {name: evolution}\n")
    (tmp_path / "buffer.jsonl").write_text('{"run": "job", "kind": "closing"}\n')
    done = agent0(empty, *command, *GIVEN.get(command, "").split(), cwd=tmp_path)
    told = done.stdout + done.stderr
    assert "Traceback" not in told, told
    named = set(re.findall(r"agent0\[([a-z0-9,]+)\]", told))
    if command in NEED_NOTHING:
        assert done.returncode == 0, told
    elif command in NEED_SEVERAL:
        assert done.returncode in (1, 2)
        assert {extra for names in named for extra in names.split(",")} >= set(NEED_SEVERAL[command])
    else:
        assert done.returncode in (1, 2)
        assert named or not MISSING.search(told), told
        assert {extra for names in named for extra in names.split(",")} <= set(EXTRAS)


def test_help_of_everything_is_there_without_extras(empty: Path, tmp_path: Path) -> None:
    done = agent0(empty, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "agent0 evolve" in done.stdout
