"""The cache on this machine: filled once, verified, bounded, and safe among processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from agent0.storage.folder_cache import cached
from agent0.storage.uri import StorageError

MEGABYTE = 10**6


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AGENT0_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("AGENT0_CACHE_GB", "0.0025")
    return tmp_path / "cache" / "content"


def megabyte(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir()
        (folder / "file").write_bytes(bytes(MEGABYTE))


def use(name: str, fill: Callable[[Path], None] = megabyte) -> None:
    with cached(name, fill) as folder:
        assert folder.is_dir()


def whole(root: Path) -> set[str]:
    return {path.name for path in root.iterdir() if path.is_dir()}


def test_what_was_used_longest_ago_goes_first(root: Path) -> None:
    for moment, name in enumerate(("a", "b", "a", "c")):
        use(name)
        os.utime(root / f"{name}.use", (moment, moment))
    assert whole(root) == {"a", "c"}


def test_what_is_in_use_stays(root: Path) -> None:
    with cached("a", megabyte) as folder:
        for name in ("b", "c", "d"):
            use(name)
        assert (folder / "file").stat().st_size == MEGABYTE
    assert whole(root) == {"a", "d"}


def test_a_folder_in_use_does_not_keep_others_from_using_it(root: Path) -> None:
    with cached("a", megabyte):
        use("a")


def test_many_at_once_fill_it_once(root: Path) -> None:
    filled: list[Path] = []

    def slow(folder: Path) -> None:
        if not folder.is_dir():
            filled.append(folder)
            time.sleep(0.2)
            megabyte(folder)

    threads = [threading.Thread(target=partial(use, "a", slow)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(filled) == 1


def test_what_another_process_uses_stays(root: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from agent0.storage.folder_cache import cached\n"
        "def fill(folder): folder.mkdir(); (folder / 'file').write_bytes(bytes(10**6))\n"
        "with cached('a', fill): print('ready', flush=True); sys.stdin.read()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    for name in ("b", "c"):
        use(name)
    assert whole(root) == {"a", "c"}
    process.kill()
    process.wait()
    use("d")
    assert whole(root) == {"c", "d"}


def test_what_a_broken_transfer_left_counts_and_goes(root: Path) -> None:
    (root / ".x.partial").mkdir(parents=True)
    (root / ".x.partial" / "file").write_bytes(bytes(2 * MEGABYTE))
    use("a")
    assert whole(root) == {"a"}


def test_an_error_while_filling_is_raised_and_leaves_no_lock(root: Path) -> None:
    def fail(folder: Path) -> None:
        raise StorageError("away")

    for _ in range(2):
        with pytest.raises(StorageError, match="away"):
            use("a", fail)
    use("a")


@pytest.mark.parametrize("value", ["much", "-1"])
def test_a_limit_that_is_no_number_is_refused(root: Path, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT0_CACHE_GB", value)
    with pytest.raises(StorageError, match="AGENT0_CACHE_GB"):
        use("a")


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("AGENT0_CACHE", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="the cache"):
        use("a")
