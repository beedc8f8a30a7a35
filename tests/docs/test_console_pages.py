"""Pages whose commands run in an empty folder and print what they say: quickstart, your own model, questions."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from console_pages import ConsolePage, make_environment, run

QUICKSTART = ConsolePage("quickstart.md")
PAGES = (QUICKSTART, ConsolePage("own-model.md"), ConsolePage("faq.md"))
MOST_SECONDS = 600


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    return make_environment(tmp_path_factory.mktemp("environment"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_of_a_page_print_what_it_says(
    page: ConsolePage, tmp_path: Path, environment: Mapping[str, str]
) -> None:
    page.unpack(tmp_path)
    assert page.commands()
    for command, printed in page.commands():
        done = run(command, tmp_path, environment)
        assert (command, done.stdout.strip()) == (command, printed)
        assert done.returncode == (2 if printed.startswith("agent0: ") else 0), command


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_quickstart_is_followed_word_by_word_in_ten_minutes(tmp_path: Path, environment: Mapping[str, str]) -> None:
    own = {**environment, "AGENT0_CACHE": str(tmp_path / "cache")}
    began = time.monotonic()
    for command, _ in QUICKSTART.commands("slowly"):
        done = run(command, tmp_path, own)
        assert done.returncode == 0, done.stdout
    assert time.monotonic() - began < MOST_SECONDS
    for name in ("report.html", "summary.json", "evolution.yaml", "log.txt", "progress.jsonl"):
        assert (tmp_path / "runs" / "first" / name).is_file()
