"""What a stranger finds at the top of the repository is whole, and says what is so."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from agent0.extras import EXTRAS
from tests.docs.site_pages import PAGES

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text("utf-8")) for path in (GITHUB / "workflows").glob("*.yml")}
FORMS = sorted(path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
SCHEMAS = {
    "github-workflows": sorted((GITHUB / "workflows").glob("*.yml")),
    "github-issue-forms": FORMS,
    "github-issue-config": [GITHUB / "ISSUE_TEMPLATE" / "config.yml"],
    "citation-file-format": [ROOT / "CITATION.cff"],
}


@pytest.mark.parametrize("schema", SCHEMAS)
def test_files_for_machines_meet_their_schemas(schema: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *SCHEMAS[schema]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_workflows_call_targets_that_there_are() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    steps = [
        step.get("run", "") for flow in WORKFLOWS.values() for job in flow["jobs"].values() for step in job["steps"]
    ]
    called = {target for run in steps for names in re.findall(r"make ([a-z -]+)", run) for target in names.split()}
    assert set(WORKFLOWS) == {"check", "test", "docs", "images"}
    assert called | set(WORKFLOWS["test"]["jobs"]["test"]["strategy"]["matrix"]["target"]) <= targets
    assert "check" in called
    assert set(WORKFLOWS["images"]["jobs"]["image"]["strategy"]["matrix"]["image"]) < {
        folder.parent.name for folder in (ROOT / "images").glob("*/Dockerfile")
    }


def test_version_and_licence_are_the_same_wherever_they_stand() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (cited["version"], cited["license"]) == (PROJECT["version"], PROJECT["license"])
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert f"version {PROJECT['version']}" in (ROOT / "README.md").read_text(encoding="utf-8")
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## \[(.*?)\]", changes, re.MULTILINE)[0] in ("Unreleased", PROJECT["version"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_extras_that_pages_name_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = {name for names in re.findall(r"agent0\[([a-z0-9,]+)\]", text) for name in names.split(",")}
    assert named <= set(EXTRAS) | set(PROJECT["optional-dependencies"])
