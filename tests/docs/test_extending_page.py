"""docs/extending.md and examples/: the same files, run in an empty folder, and what the commands print."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from console_pages import ROOT, ConsolePage, make_environment, run

PAGE = ConsolePage("extending.md")
EXAMPLES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "examples").iterdir() if path.is_file()}
MOST_LINES, MOST_SECONDS = 40, 120


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder with the files of the page, and the domain of its own page."""
    place = tmp_path_factory.mktemp("plugins")
    PAGE.unpack(place)
    (place / "my_units.py").write_text(EXAMPLES["my_units.py"], encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, folder: Path, model_cache: Path) -> Mapping[str, str]:
    made = make_environment(tmp_path_factory.mktemp("environment"))
    assert run("pip install --quiet --editable .", folder, made).returncode == 0
    return {**made, "AGENT0_CACHE": str(model_cache)}


@contextmanager
def in_time(command: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < MOST_SECONDS, command


def test_the_page_shows_the_examples_as_they_are_and_none_is_long() -> None:
    assert {**PAGE.files, "my_units.py": EXAMPLES["my_units.py"]} == EXAMPLES
    assert max(text.count("\n") for text in EXAMPLES.values()) <= MOST_LINES


def test_the_commands_of_the_page_print_what_it_says(folder: Path, environment: Mapping[str, str]) -> None:
    assert len(PAGE.commands()) > 6
    for command, printed in PAGE.commands():
        with in_time(command):
            done = run(command, folder, environment)
        assert (command, done.stdout.strip()) == (command, printed)
        assert done.returncode == (2 if printed.startswith("agent0: ") else 0), command


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_evolution_with_all_of_them_tells_each(folder: Path, environment: Mapping[str, str]) -> None:
    PAGE.unpack(folder)  # as it was before something was broken
    evolve, *others = PAGE.commands("slowly")
    with in_time(evolve[0]):
        done = run(evolve[0], folder, environment)
    assert done.returncode == 0, done.stdout
    for command, printed in others:
        done = run(command, folder, environment)
        assert (done.returncode, done.stdout.strip()) == (0, printed), command
