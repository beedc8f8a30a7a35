"""docs/domains.md, word by word: its files in an empty folder, its commands, and what they print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "domains.md"
BLOCK = re.compile(r"<!-- (file|run)(?: (\S+))? -->\n```\w+\n(.*?)```\n", re.DOTALL)
BLOCKS = [(kind, name, text) for kind, name, text in BLOCK.findall(PAGE.read_text(encoding="utf-8"))]
FILES = {name: text for kind, name, text in BLOCKS if kind == "file"}
BUILT = ("pyproject.toml", "my_units.py", "units.toml")
SHIM = '#!/bin/sh\nexec {python} -P -m {module} "$@"\n'


def commands(how: str) -> list[tuple[str, str]]:
    """Return the commands of the page's blocks with what is said to be printed."""
    blocks = "\n\n".join(text.strip() for kind, name, text in BLOCKS if kind == "run" and name == how)
    sessions = re.split(r"^\$ ", blocks, flags=re.MULTILINE)[1:]
    return [(command, printed.strip()) for command, _, printed in (session.partition("\n") for session in sessions)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder with the page's files."""
    place = tmp_path_factory.mktemp("units")
    for name, text in FILES.items():
        (place / name).write_text(text, encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """An environment of its own that sees the packages of this one, so that pip installs nothing here."""
    place = tmp_path_factory.mktemp("environment")
    venv.create(place, symlinks=True)
    python = place / "bin" / "python"
    for module, name in (("pip", "pip"), ("agent0", "agent0")):
        shim = place / "bin" / name
        shim.write_text(SHIM.format(python=python, module=module))
        shim.chmod(0o755)
    seen = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (library,) = (place / "lib").glob("python*/site-packages")
    (library / "seen.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in seen))
    alone = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "false", "PIP_CONFIG_FILE": os.devnull}
    return {**os.environ, **alone, "PATH": f"{place / 'bin'}:{os.environ['PATH']}", "PYTHONWARNINGS": "ignore"}


def run(command: str, folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def test_the_page_builds_a_domain_in_under_sixty_lines() -> None:
    assert sum(FILES[name].count("\n") for name in BUILT) < 60


@pytest.mark.slow
def test_the_commands_of_the_page_print_what_it_says(folder: Path, environment: Mapping[str, str]) -> None:
    assert len(commands("")) > 5
    for command, printed in commands(""):
        done = run(command, folder, environment)
        assert (command, done.stdout.strip()) == (command, printed)
        assert done.returncode == (2 if printed.startswith("agent0: ") else 0), command


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_domain_of_the_page_evolves_and_is_evaluated(
    folder: Path, environment: Mapping[str, str], language_model_cache: Path
) -> None:
    cached = {**environment, "AGENT0_CACHE": str(language_model_cache)}
    assert run("pip install --quiet --editable .", folder, cached).returncode == 0
    for command, _ in commands("slowly"):
        done = run(command, folder, cached)
        assert done.returncode == 0, done.stdout
    assert (folder / "runs" / "units" / "report.html").is_file()
    assert "domain:units" in done.stdout
