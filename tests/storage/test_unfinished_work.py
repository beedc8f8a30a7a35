"""Whoever goes on with unfinished work has the settings that matter to it, and is told which are others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent0.config import MAY_CHANGE, load_config
from agent0.errors import UsageError
from agent0.storage.workspace import Workspace, open_workspace

KEY = "run/1/executor_training"


def settings_with(*overrides: str) -> dict[str, Any]:
    return {"seed": 1, "training": load_config("tiny", overrides).training.model_dump(mode="json")}


def begun(beside: Path, piece: str = "checkpoint-2") -> Workspace:
    workspace = open_workspace(KEY, beside, settings_with(), MAY_CHANGE)
    (workspace.folder / piece).touch()
    return workspace


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("training.lora.rank=4", r"\(training\.lora\.rank: 4, was 0\); restore those settings"),
        ("training.precision=bfloat16", r"\(training\.precision: \"bfloat16\", was \"float32\"\); restore"),
    ],
)
def test_a_workspace_of_another_configuration_is_refused_by_the_names_of_what_differs(
    tmp_path: Path, override: str, told: str
) -> None:
    begun(tmp_path / "output")
    open_workspace(KEY, tmp_path / "output", settings_with(), MAY_CHANGE)
    with pytest.raises(UsageError, match=told) as refused:
        open_workspace(KEY, tmp_path / "output", settings_with(override), MAY_CHANGE)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    "override",
    [
        "training.checkpoints.keep=1",
        "training.checkpoints.every=5",
        "training.micro_batch_tokens=400",
        "training.guards.min_entropy=0",
        "training.trainjob.queue=other",
    ],
)
def test_what_changes_nothing_that_is_computed_may_change(tmp_path: Path, override: str) -> None:
    begun(tmp_path / "output")
    open_workspace(KEY, tmp_path / "output", settings_with(override), MAY_CHANGE)


def test_an_attempt_that_was_refused_before_its_first_piece_binds_nobody(tmp_path: Path) -> None:
    beside, other = tmp_path / "output", settings_with("training.lora.rank=4")
    open_workspace(KEY, beside, settings_with(), MAY_CHANGE)
    open_workspace(KEY, beside, other, MAY_CHANGE)
    begun(beside)
    with pytest.raises(UsageError, match="unfinished work of another configuration"):
        open_workspace(KEY, beside, other, MAY_CHANGE)


def test_a_setting_that_one_side_lacks_and_many_that_differ_are_told_shortly(tmp_path: Path) -> None:
    workspace = open_workspace(KEY, tmp_path / "output", {str(number): "x" * 999 for number in range(8)})
    (workspace.folder / "shard-0").touch()
    with pytest.raises(UsageError, match=r"0: not there, was \"x+….*; and 3 more\)") as refused:
        open_workspace(KEY, tmp_path / "output", {})
    assert len(str(refused.value)) < 2000


def test_what_may_change_is_there() -> None:
    config = load_config().model_dump()
    for name in MAY_CHANGE:
        section: Any = config
        for part in name.split("."):
            section = section[part]
