"""A file or a folder is written whole or not at all, and a file never takes the place of what is none."""

from __future__ import annotations

import os
import shutil
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent0.errors import Agent0Error, UsageError
from agent0.storage.atomic_file import atomic_write
from agent0.storage.atomic_folder import atomic_folder
from agent0.storage.uri import StorageError
from agent0.storage.uri_files import output_folder, write_file


def write(path: Path) -> None:
    with atomic_write(path) as file:
        file.write("text")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda path: path.mkdir(), "is a folder"),
        (os.mkfifo, "is a pipe"),
        (lambda path: path.symlink_to("/dev/null"), "is a device"),
    ],
    ids=["folder", "pipe", "device"],
)
def test_what_is_no_file_keeps_its_place(made: Callable[[Path], Any], said: str, tmp_path: Path) -> None:
    path = tmp_path / "out"
    made(path)
    before = path.lstat()
    with pytest.raises(UsageError, match=f"out {said}.*name a file"):
        write(path)
    assert (path.lstat().st_ino, path.lstat().st_mode) == (before.st_ino, before.st_mode)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("name", ["n" * 300, "file/under"], ids=["too long", "below a file"])
def test_a_place_that_the_system_refuses_is_told(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(StorageError, match=r"cannot be written \(.*\); name another place"):
        write(tmp_path / name)
    assert (tmp_path / "file").read_text() == "kept"


def test_a_full_disk_is_told_and_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("before")
    with pytest.raises(StorageError, match=r"out was not written: The disk is full"), atomic_write(tmp_path / "out"):
        raise OSError(28, "No space left on device")
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("out", "before")]


def test_an_error_of_something_else_is_left_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(ConnectionResetError), atomic_write(tmp_path / "out"):
        raise ConnectionResetError(104, "Connection reset by peer")
    assert not list(tmp_path.iterdir())


def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    write(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "text"


@pytest.mark.parametrize("place", ["", "http://x/y", "ftp://x"])
def test_no_place_and_another_scheme_are_no_place_to_write_to(place: str) -> None:
    with pytest.raises(Agent0Error), write_file(place):
        pytest.fail("it was taken for a place")
    with pytest.raises(Agent0Error), output_folder(place, resume=False):
        pytest.fail("it was taken for a place")


@pytest.mark.parametrize("name", ["file", "file/under", "n" * 300])
def test_a_folder_that_cannot_be_is_told_before_anything_is_made_for_it(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    with (
        pytest.raises(UsageError, match="Nothing can be written to the folder"),
        output_folder(str(tmp_path / name), resume=False),
    ):
        pytest.fail("it was taken for a folder")


def test_a_new_folder_appears_with_what_is_written_to_it(tmp_path: Path) -> None:
    with output_folder(str(tmp_path / "new"), resume=False) as output:
        assert not output.folder.exists()


def test_a_folder_takes_its_place_whole_and_what_an_error_broke_off_is_there_again(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "older").touch()

    def break_off() -> None:
        with atomic_folder(target) as folder:
            (folder / "first").touch()
            raise TimeoutError

    with pytest.raises(TimeoutError):
        break_off()
    assert [path.name for path in target.iterdir()] == ["older"]
    with atomic_folder(target) as folder:
        assert [path.name for path in folder.iterdir()] == ["first"]
        (folder / "second").touch()
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == [
        "out",
        "out/first",
        "out/second",
    ]


def test_a_folder_that_is_removed_within_leaves_its_target_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "older").touch()
    with atomic_folder(tmp_path / "out") as folder:
        shutil.rmtree(folder)
    with pytest.raises(TimeoutError), atomic_folder(tmp_path / "out"):
        raise TimeoutError
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["older", "out"]


def test_who_wants_the_same_folder_waits_for_whoever_makes_it(tmp_path: Path) -> None:
    made: list[int] = []

    def make(number: int) -> None:
        with atomic_folder(tmp_path / "out") as folder:
            if (tmp_path / "out").is_dir():
                shutil.rmtree(folder)
                return
            made.append(number)
            time.sleep(0.1)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
