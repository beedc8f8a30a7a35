"""No block of a page is out of date: each is run, compared or read by a rule, and no command in a text is dead.

Rules by the kind of a block:
    console: a test runs or compares it; the comment before it says which.
    sh: each line begins with a program that the rule knows. Ours (agent0, make, scripts of this repository) are read as
        they would be: commands, options, settings, recipes, targets and files exist. Those of FOREIGN need a cluster, a
        server or another package, and are only named here.
    python: run here in an empty folder, or by the test that ELSEWHERE names. toml and json: read.
    text, mermaid, dockerfile: a picture, which nothing runs. test_plan_page.py compares those of docs/plan.md.
"""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from agent0.config import Config
from agent0.config.loader import field_paths
from agent0.recipes import recipe_names
from tests.docs.commands_page import commands
from tests.docs.site_pages import PAGES, ROOT

FOREIGN = {".", "aws", "do", "docker", "done", "export", "inspect", "kind", "kubectl", "pip", "sed", "umask", "while"}
TRANSCRIBED = {"run", "transcript"}
ELSEWHERE = {
    "docs/api.md": "tests/test_api.py",
    "docs/domains.md": "tests/docs/test_domains_page.py",
    "docs/extending.md": "tests/docs/test_extending_page.py",
    "docs/storage.md": "tests/storage/test_transfer.py",
    "mlflow/README.md": "tests/integration/test_tracking_server.py",
    **{f"{path.relative_to(ROOT)}/README.md": "tests/components/test_readmes.py" for path in ROOT.glob("components/*")},
}
"""Pages whose Python another test runs, or whose calls it makes of a real server."""
COMMANDS = commands()
SETTINGS = set(field_paths(Config))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
PARSER = MarkdownIt("commonmark").enable("table")


def tokens(page: Path) -> list[Token]:
    return PARSER.parse(page.read_text(encoding="utf-8"))


def blocks(page: Path) -> Iterator[tuple[str, str, str]]:
    """Return the kind of each block, the comment before it, and its text."""
    before = ""
    for token in tokens(page):
        if token.type in ("fence", "code_block"):
            yield token.info.strip() if token.type == "fence" else "indented", before, token.content
        before = token.content.strip().strip("<!->").strip() if token.type == "html_block" else ""


def lines(text: str) -> Iterator[list[str]]:
    """Return the words of each command of a block of sh."""
    for line in re.sub(r"\\\n *", "", text).splitlines():
        for part in re.split(r" (?:&&|\|\||\|) |; ", re.sub(r"(^|\s)#.*", "", line)):
            if words := shlex.split(part):
                yield words


def spans(page: Path) -> Iterator[list[str]]:
    """Return the words of each command of ours in a text."""
    for token in tokens(page):
        for child in token.children or ():
            if child.type == "code_inline" and re.match(r"(agent0|make) [a-z]", child.content):
                yield shlex.split(child.content.replace("'", "") if child.content.count("'") % 2 else child.content)


def dead(words: list[str]) -> str:
    """Return what is wrong with a command of ours; empty if nothing is."""
    if words[0] == "make":
        unknown = [word for word in words[1:] if "=" not in word and word not in TARGETS]
        return f"no target {unknown[0]}" if unknown else ""
    if words[0].startswith("python"):
        script = next((word for word in words if word.endswith(".py")), "")
        return "" if not script or (ROOT / script).is_file() else f"no file {script}"
    if words[0] != "agent0":
        return "" if words[0] in FOREIGN or "=" in words[0] else f"{words[0]} is no program that the rule knows"
    return _dead_command(words)


def _dead_command(words: list[str]) -> str:
    plain = [word.strip("…") for word in words]
    name = next((n for n in (" ".join(plain[:3]), " ".join(plain[:2])) if n in COMMANDS), "")
    if not name:
        group = any(command.startswith(f"{' '.join(plain[:2])} ") for command in COMMANDS)
        return (
            "" if (group and len(plain) == 2) or plain[1] in ("", "--help", "--version") else f"no command {plain[1:3]}"
        )
    known = {"--help", "-h"} | {opt for p in COMMANDS[name].params for opt in (*p.opts, *p.secondary_opts)}
    rest = plain[len(name.split()) :]
    for at, word in enumerate(rest):
        option, _, value = word.partition("=")
        if not re.fullmatch(r"--?[a-zA-Z][\w-]*", option):
            continue
        if option not in known:
            return f"{name} has no option {option}"
        value = value or (rest[at + 1] if at + 1 < len(rest) else "")
        if option in ("--set", "-s") and value.partition("=")[0] not in SETTINGS | {"", "…"}:
            return f"no setting {value}"
        if option in ("--recipe", "-r") and value.islower() and value not in recipe_names() and ".toml" not in value:
            return f"no recipe {value}"
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_command_in_a_text_is_dead(page: Path) -> None:
    assert [(words, why) for words in spans(page) if (why := dead(words))] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_each_block_is_tested_by_the_rule_of_its_kind(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = page.relative_to(ROOT).as_posix()
    monkeypatch.chdir(tmp_path)
    for kind, before, text in blocks(page):
        match kind:
            case "console":
                assert before.split()[0].strip(":") in TRANSCRIBED, text
            case "sh":
                assert [why for words in lines(text) if (why := dead(words))] == []
            case "python":
                if name in ELSEWHERE:
                    assert (ROOT / ELSEWHERE[name]).is_file()
                else:
                    exec(compile(text, name, "exec"), {})
            case "toml":
                tomllib.loads(text)
            case "json":
                json.loads(text)
            case "text" | "mermaid" | "dockerfile":
                pass
            case _:
                raise AssertionError(f"no rule for a block of {kind}")
