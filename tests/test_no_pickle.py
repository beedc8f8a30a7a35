"""What comes from outside is never unpickled: no code of ours can, and models are safetensors only."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from agent0.errors import Agent0Error
from agent0.rollout.model_folders import load_model

ROOT = Path(__file__).parents[1]
UNPICKLERS = {
    "pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "torch.load", "numpy.load", "np.load",
    "pandas.read_pickle", "torch.jit.load", "torch.package",
}  # fmt: skip
ALLOWED = {"agent0/sandbox/attacks/python.py"}  # text of an attack, which only the sandbox runs


def names_of(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Attribute):
            found.add(ast.unparse(node))
    return found


def test_no_code_of_ours_unpickles() -> None:
    files = [path for room in ("agent0", "components", "pipelines") for path in (ROOT / room).rglob("*.py")]
    assert len(files) > 100
    found = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in files
        for name in names_of(ast.parse(path.read_text(encoding="utf-8")))
        if name in UNPICKLERS or name.split(".")[0] in UNPICKLERS
    }
    assert {item for item in found if item[0] not in ALLOWED} == set()


def test_weights_that_are_not_safetensors_are_refused(random_model: Any, tokenizer: Any, tmp_path: Path) -> None:
    import torch

    random_model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(random_model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(Agent0Error, match=r"safetensors"):
        load_model(tmp_path, "float32")
