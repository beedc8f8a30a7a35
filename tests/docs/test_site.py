"""The site: built strictly and in time, structured as on GitHub, with sentences and commands that are in the code."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

import agent0
from tests.docs import commands_page
from tests.docs.site_pages import PAGES, ROOT

MOST_SECONDS = 60
SHAPES = ("table", "tr", "td", "ol", "ul", "li", "pre", "h1", "h2", "h3", "img", "strong", "em")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built by its own configuration: a dead link or anchor, or a page beside the navigation, is an error."""
    folder = tmp_path_factory.mktemp("site")
    began = time.monotonic()
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < MOST_SECONDS
    return folder


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_has_the_structure_that_github_shows(site: Path, page: Path) -> None:
    name = page.relative_to(ROOT).as_posix().removeprefix("docs/")
    place = Path(name).parent if page.name == "README.md" else Path(name).with_suffix("")
    made = re.search(r"<article.*</article>", (site / place / "index.html").read_text("utf-8"), re.DOTALL)
    assert made is not None
    there = MarkdownIt("commonmark").enable("table").render(page.read_text(encoding="utf-8"))
    assert _shapes(made[0]) == _shapes(there)


def _shapes(html: str) -> dict[str, int]:
    return {tag: len(re.findall(f"<{tag}[ >]", html)) for tag in SHAPES}


def test_the_public_names_have_their_docstrings(site: Path) -> None:
    page = (site / "names" / "index.html").read_text(encoding="utf-8")
    assert "through the compiled pipeline, as" in page
    assert {f"agent0.{name}" for name in agent0.__all__} - set(re.findall(r'id="([^"]+)"', page)) == {
        "agent0.__version__"
    }


def test_the_page_of_commands_is_made_of_the_commands_that_there_are() -> None:
    assert commands_page.PAGE.read_text(encoding="utf-8") == commands_page.page(), "run `make commands`"


def test_sentences_of_the_questions_are_those_of_the_code() -> None:
    page = (ROOT / "docs" / "faq.md").read_text(encoding="utf-8")
    sentences = [row for row in re.findall(r"^\| (.*?) \|", page, re.MULTILINE) if row != "the sentence"]
    texts = [text for folder in ("agent0", "pipelines") for text in _texts(ROOT / folder)]
    assert len(sentences) > 12
    assert [sentence for sentence in sentences if not any(_is_of(sentence, text) for text in texts)] == []


def _is_of(sentence: str, text: str) -> bool:
    return re.search(".*".join(map(re.escape, sentence.strip("…").split("…"))), text, re.DOTALL) is not None


def _texts(folder: Path) -> list[str]:
    """Return the texts of all programs below a folder, with `…` where something is put in."""
    found = []
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.append("".join(str(v.value) if isinstance(v, ast.Constant) else "…" for v in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found
