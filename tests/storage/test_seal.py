"""The seal of a finished folder: whatever happens to it afterwards is noticed, and named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agent0.storage import transfer
from agent0.storage.digest import LEFTOVER_FILE, STAGE_FILE, folder_digest, of_a_stage
from agent0.storage.manifest import MANIFEST, Manifest
from agent0.storage.seal import DamagedError, intact_digest, is_intact, seal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "task-filtering" / "kept"
    (folder / "tasks").mkdir(parents=True)
    (folder / "tasks" / "0.parquet").write_bytes(b"tasks" * 1000)
    (folder / "history.json").write_text("{}\n")
    (folder / STAGE_FILE).write_text('{"stage": "task_filtering"}\n')
    seal(folder)
    return folder


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGE: dict[str, Callable[[Path], None]] = {
    "tasks/0.parquet was changed": lambda folder: flip(folder / "tasks" / "0.parquet"),
    "history.json was changed": lambda folder: (folder / "history.json").write_text('{"iterations": []}\n'),
    "history.json is gone": lambda folder: (folder / "history.json").unlink(),
    "tasks/1.parquet was added": lambda folder: (folder / "tasks" / "1.parquet").touch(),
    "stage.json was changed": lambda folder: flip(folder / STAGE_FILE),
    "stage.json is gone": lambda folder: (folder / STAGE_FILE).unlink(),
    "manifest.json is gone": lambda folder: (folder / MANIFEST).unlink(),
    "manifest.json cannot be read": lambda folder: (folder / MANIFEST).write_bytes(b""),
    "manifest.json was changed": lambda folder: (folder / MANIFEST).write_bytes(
        Manifest(Manifest.from_bytes((folder / MANIFEST).read_bytes(), "").files, "0" * 64).to_bytes()
    ),
}


@pytest.mark.parametrize(("told", "damage"), DAMAGE.items(), ids=list(DAMAGE))
def test_damage_is_noticed_and_the_file_is_named(told: str, damage: Callable[[Path], None], folder: Path) -> None:
    assert intact_digest(folder) == folder_digest(folder, of_a_stage)
    assert is_intact(folder)
    damage(folder)
    with pytest.raises(DamagedError, match=rf"kept/{told}.*run that task again"):
        intact_digest(folder)
    assert not is_intact(folder)


def test_what_mlflow_took_late_is_no_damage(folder: Path) -> None:
    (folder / LEFTOVER_FILE).write_text("{}\n")
    assert is_intact(folder)
    seal(folder)
    (folder / LEFTOVER_FILE).unlink()
    assert is_intact(folder)


def test_a_folder_that_no_stage_wrote_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "tasks.jsonl").write_text("{}\n")
    assert intact_digest(tmp_path) == folder_digest(tmp_path)
    assert not is_intact(tmp_path)
    assert not is_intact(tmp_path / "absent")


def test_a_sealed_folder_is_stored_and_comes_back_without_its_seal(folder: Path, tmp_path: Path) -> None:
    transfer.put(folder, str(tmp_path / "store"))
    transfer.get(str(tmp_path / "store"), tmp_path / "back")
    assert not (tmp_path / "back" / MANIFEST).exists()
    assert folder_digest(tmp_path / "back", of_a_stage) == intact_digest(folder)
