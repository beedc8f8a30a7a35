"""docs/domains.md, word by word: its files in an empty folder, its commands, and what they print."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from console_pages import ROOT, ConsolePage, make_environment, run

PAGE = ConsolePage("domains.md")
BUILT = ("pyproject.toml", "my_units.py", "units.toml")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder with the page's files."""
    place = tmp_path_factory.mktemp("units")
    PAGE.unpack(place)
    return place


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    return make_environment(tmp_path_factory.mktemp("environment"))


def test_the_page_builds_a_domain_in_under_sixty_lines() -> None:
    assert sum(PAGE.files[name].count("\n") for name in BUILT) < 60
    assert PAGE.files["my_units.py"] == (ROOT / "examples" / "my_units.py").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_commands_of_the_page_print_what_it_says(folder: Path, environment: Mapping[str, str]) -> None:
    assert len(PAGE.commands()) > 5
    for command, printed in PAGE.commands():
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
    for command, _ in PAGE.commands("slowly"):
        done = run(command, folder, cached)
        assert done.returncode == 0, done.stdout
    assert (folder / "runs" / "units" / "report.html").is_file()
    assert "domain:units" in done.stdout
