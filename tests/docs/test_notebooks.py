"""The notebooks: kept without outputs; their cells run one after the other in an empty folder, as a kernel would.

With the settings of a short evolution: test_console_pages.py runs as long a one as the quickstart's cells ask for.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from short_evolution import SHORTEST

ROOT = Path(__file__).parents[2]
SHORTER = {
    '"seed=1"]': f'"seed=1", *{SHORTEST}]',
    '["tiny"], place,': '["tiny"], place, overrides=["evaluation.questions_per_level=4"],',
}
"""What is put in the place of what in the cells that evolve and evaluate."""
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def notebook(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def code(path: Path) -> str:
    """The cells of a notebook as one program."""
    return "\n\n".join("".join(cell["source"]) for cell in notebook(path)["cells"] if cell["cell_type"] == "code")


def run(name: str, folder: Path, environment: Mapping[str, str]) -> str:
    program = code(ROOT / "notebooks" / name)
    for written, shorter in SHORTER.items() if name == "quickstart.ipynb" else ():
        assert program.count(written) == 1
        program = program.replace(written, shorter)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_is_kept_as_it_was_written(path: Path) -> None:
    written = notebook(path)
    assert (written["nbformat"], written["metadata"]["kernelspec"]["name"]) == (4, "python3")
    ids = [cell["id"] for cell in written["cells"]]
    assert len(set(ids)) == len(ids)
    kept = [cell for cell in written["cells"] if cell["cell_type"] == "code"]
    assert [(cell["outputs"], cell["execution_count"]) for cell in kept] == [([], None)] * len(kept)
    compile(code(path), path.name, "exec")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_notebooks_do_what_they_say(tmp_path: Path, model_cache: Path) -> None:
    environment = {**os.environ, "AGENT0_CACHE": str(model_cache), "MPLBACKEND": "agg"}
    grown = run("quickstart.ipynb", tmp_path, environment)
    assert "round 0: " in grown
    assert "round 1: " in grown
    assert "tiny: " in grown
    assert (
        run("quickstart.ipynb", tmp_path, environment).splitlines()[0] == grown.splitlines()[0]
    )  # goes on, with nothing
    reviewed = run("review.ipynb", tmp_path, environment)
    assert reviewed.startswith("evolution tiny seed 1 FINISHED by ")
    assert "tasks kept" in reviewed
    assert "verdicts: {'vote': " in reviewed
    assert "{'candidate': 1}\nversion 1: Round 1. Latest evaluation" in reviewed
