"""Copies to and from a place on this machine, which behave as those to S3 do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

from agent0.storage import sending, transfer
from agent0.storage.digest import model_digest
from agent0.storage.manifest import MANIFEST, Manifest
from agent0.storage.uri import StorageError, parse
from tests.support.reported_cases import reported_cases

FILES = {"model.safetensors": b"weights" * 1000, "nested/deep/config.json": b"{}", "empty": b"", "ünïcode +%.txt": b"x"}


def make_folder(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "source", FILES)


@pytest.fixture
def stored(tmp_path: Path, source: Path) -> Path:
    transfer.put(source, str(tmp_path / "store" / "folder"))
    return tmp_path / "store" / "folder"


def test_a_folder_comes_back_as_it_went(tmp_path: Path, stored: Path) -> None:
    transfer.get(str(stored), tmp_path / "back")
    assert contents(tmp_path / "back") == FILES
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back", "source", "store"]


def test_a_file_comes_back_as_it_went(tmp_path: Path, source: Path) -> None:
    place = str(tmp_path / "store" / "weights")
    transfer.put(source / "model.safetensors", place)
    transfer.get(place, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == FILES["model.safetensors"]


def test_what_links_lead_to_is_stored(tmp_path: Path, source: Path) -> None:
    make_folder(tmp_path / "elsewhere", {"shard-1": b"1", "inner/shard-2": b"2"})
    (source / "weights").symlink_to("../elsewhere/shard-1")
    (source / "nested" / "latest").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    place = tmp_path / "store" / "linked"
    transfer.put(source, str(place))
    linked = {"weights": b"1", "nested/latest/shard-1": b"1", "nested/latest/inner/shard-2": b"2"}
    assert contents(place) == {**FILES, **linked, MANIFEST: (place / MANIFEST).read_bytes()}
    assert not any(path.is_symlink() for path in place.rglob("*"))
    transfer.get(str(place), tmp_path / "back")
    assert model_digest(source) == model_digest(tmp_path / "back")


@pytest.mark.parametrize(
    ("link", "target", "sentence"),
    [
        ("model-2.safetensors", "../blobs/gone", "leads to ../blobs/gone, where nothing is"),
        ("itself", "itself", "leads to itself, where nothing is"),
        ("nested/up", "..", "leads back to a folder that it lies in"),
    ],
)
def test_a_link_that_leads_nowhere_is_refused(
    tmp_path: Path, source: Path, link: str, target: str, sentence: str
) -> None:
    (source / link).symlink_to(target)
    for copying in (partial(transfer.put, source, str(tmp_path / "store")), partial(model_digest, source)):
        with pytest.raises(StorageError, match=sentence):
            copying()
    assert not (tmp_path / "store").exists()


def test_links_around_in_a_circle_end(tmp_path: Path) -> None:
    make_folder(tmp_path, {"source/a/x": b"x", "source/b/y": b"y"})
    (tmp_path / "source/a/b").symlink_to("../b")
    (tmp_path / "source/b/a").symlink_to("../a")
    with pytest.raises(StorageError, match="leads back to a folder"):
        transfer.put(tmp_path / "source", str(tmp_path / "store"))


def test_removing_a_folder_leaves_alone_what_its_links_lead_to(tmp_path: Path, source: Path) -> None:
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "link").symlink_to(source, target_is_directory=True)
    transfer.remove(str(tmp_path / "place"))
    assert not (tmp_path / "place").exists()
    assert contents(source) == FILES


def test_what_people_reported_of_links_is_stored_or_refused_as_they_meant_it(tmp_path: Path) -> None:
    for case in reported_cases("storage"):
        files = {name: text.encode() for name, text in case["input"]["files"].items()}
        folder, place = make_folder(tmp_path / case["id"] / "source", files), tmp_path / case["id"] / "place"
        for link, target in case["input"]["links"].items():
            (folder / link).symlink_to(target)
        try:
            transfer.put(folder, str(place))
            found: object = sorted(set(contents(place)) - {MANIFEST})
        except StorageError:
            found = "REFUSED"
        assert found == case["expected"], case["id"]


def test_the_manifest_names_every_file(stored: Path) -> None:
    manifest = Manifest.from_bytes((stored / MANIFEST).read_bytes(), "here")
    assert {record.path: record.size for record in manifest.files} == {name: len(data) for name, data in FILES.items()}


def test_a_folder_without_its_manifest_does_not_exist(tmp_path: Path, stored: Path) -> None:
    assert transfer.entries(str(stored.parent)) == ["folder"]
    (stored / MANIFEST).unlink()
    assert transfer.entries(str(stored.parent)) == []
    with pytest.raises(StorageError, match="not whole: 4 files lie there without a manifest"):
        transfer.get(str(stored), tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_entries_are_files_and_whole_folders(stored: Path) -> None:
    make_folder(stored.parent, {"file": b"1", "unfinished/file": b"1"})
    assert transfer.entries(str(stored.parent)) == ["file", "folder"]
    assert transfer.entries(str(stored)) == ["empty", "model.safetensors", "nested", "ünïcode +%.txt"]
    assert transfer.entries(str(stored.parent / "nothing")) == []


@pytest.mark.parametrize("content", [b"Weights" * 1000, b"weights", b""])
def test_a_tampered_file_is_found_and_nothing_appears(tmp_path: Path, stored: Path, content: bytes) -> None:
    (stored / "model.safetensors").write_bytes(content)
    with pytest.raises(StorageError, match=r"model\.safetensors is not what was stored there"):
        transfer.get(str(stored), tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_missing_file_is_found(tmp_path: Path, stored: Path) -> None:
    (stored / "empty").unlink()
    with pytest.raises(StorageError, match=r"empty is in the manifest .* but is gone"):
        transfer.get(str(stored), tmp_path / "back")


@pytest.mark.parametrize("path", ["../outside", "/outside", "a/../../outside", "./a", "", ".", MANIFEST])
def test_a_manifest_cannot_name_a_file_outside_its_folder(tmp_path: Path, stored: Path, path: str) -> None:
    value = json.loads((stored / MANIFEST).read_text())
    value["files"][0]["path"] = path
    (stored / MANIFEST).write_text(json.dumps(value))
    with pytest.raises(StorageError, match="outside its folder"):
        transfer.get(str(stored), tmp_path / "back")


@pytest.mark.parametrize("text", ["", "[]", '{"format": "other"}', '{"format": "agent0-folder-1", "files": [1]}'])
def test_a_damaged_manifest_is_an_error(tmp_path: Path, stored: Path, text: str) -> None:
    (stored / MANIFEST).write_text(text)
    with pytest.raises(StorageError, match="is no manifest"):
        transfer.get(str(stored), tmp_path / "back")


def test_a_broken_get_keeps_what_it_has(tmp_path: Path, stored: Path) -> None:
    (stored / "ünïcode +%.txt").rename(tmp_path / "hidden")
    with pytest.raises(StorageError):
        transfer.get(str(stored), tmp_path / "back")
    kept = tmp_path / ".back.partial" / "whole" / "model.safetensors"
    assert kept.read_bytes() == FILES["model.safetensors"]
    inode = kept.stat().st_ino
    (tmp_path / "hidden").rename(stored / "ünïcode +%.txt")
    transfer.get(str(stored), tmp_path / "back")
    assert contents(tmp_path / "back") == FILES
    assert (tmp_path / "back" / "model.safetensors").stat().st_ino == inode


def test_a_broken_put_keeps_what_is_there(tmp_path: Path, source: Path, stored: Path) -> None:
    (stored / MANIFEST).unlink()
    (stored / "nested/deep/config.json").unlink()
    before = (stored / "model.safetensors").stat()
    transfer.put(source, str(stored))
    after = (stored / "model.safetensors").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    transfer.get(str(stored), tmp_path / "back")
    assert contents(tmp_path / "back") == FILES


def test_a_put_that_is_killed_leaves_no_folder(tmp_path: Path, source: Path) -> None:
    place = tmp_path / "store" / "folder"
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom agent0.storage import store, transfer\n"
        "send = store.LocalStore.send\n"
        "def kill(self, source, *more):\n"
        "    if source.name == 'empty': os._exit(9)\n"
        "    return send(self, source, *more)\n"
        "store.LocalStore.send = kill\n"
        "transfer.put(Path(sys.argv[1]), sys.argv[2])\n"
    )
    environment = {**os.environ, "AGENT0_STORAGE_WORKERS": "1"}
    done = subprocess.run([sys.executable, "-c", code, str(source), str(place)], env=environment, check=False)
    assert done.returncode == 9
    assert transfer.entries(str(place.parent)) == []
    transfer.put(source, str(place))
    assert transfer.entries(str(place.parent)) == ["folder"]


def test_a_newer_folder_replaces_an_older_one(tmp_path: Path, stored: Path) -> None:
    make_folder(stored, {"stranger": b"not of the folder"})
    newer = make_folder(tmp_path / "newer", {"empty": b"no more", "added": b"1"})
    transfer.put(newer, str(stored))
    transfer.get(str(stored), tmp_path / "back")
    assert contents(tmp_path / "back") == {"empty": b"no more", "added": b"1"}
    assert not (stored / "model.safetensors").exists()
    assert (stored / "stranger").exists()


def test_a_folder_fetched_twice_is_updated(tmp_path: Path, stored: Path) -> None:
    transfer.get(str(stored), tmp_path / "back")
    (tmp_path / "back" / "empty").write_bytes(b"edited")
    inode = (tmp_path / "back" / "model.safetensors").stat().st_ino
    transfer.get(str(stored), tmp_path / "back")
    assert contents(tmp_path / "back") == FILES
    assert (tmp_path / "back" / "model.safetensors").stat().st_ino == inode


def test_a_get_never_removes_other_files(tmp_path: Path, stored: Path) -> None:
    make_folder(tmp_path / "back", {"thesis.txt": b"years of work"})
    with pytest.raises(StorageError, match=r"not of the folder.*thesis\.txt"):
        transfer.get(str(stored), tmp_path / "back")
    assert contents(tmp_path / "back") == {"thesis.txt": b"years of work"}


def test_a_stored_folder_can_be_stored_again(tmp_path: Path, stored: Path) -> None:
    transfer.put(stored, str(tmp_path / "copy"))
    transfer.get(str(tmp_path / "copy"), tmp_path / "back")
    assert contents(tmp_path / "back") == FILES


def test_a_foreign_manifest_is_not_overwritten(tmp_path: Path) -> None:
    make_folder(tmp_path / "source", {MANIFEST: b'{"name": "a web page"}'})
    with pytest.raises(StorageError, match="rename it"):
        transfer.put(tmp_path / "source", str(tmp_path / "store"))


def test_an_empty_folder_exists(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    transfer.put(tmp_path / "source", str(tmp_path / "store" / "nothing"))
    assert transfer.entries(str(tmp_path / "store")) == ["nothing"]
    transfer.get(str(tmp_path / "store" / "nothing"), tmp_path / "back")
    assert contents(tmp_path / "back") == {}


def test_a_source_that_changes_meanwhile_is_not_stored(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = sending._read_source

    def read_and_write(path: Path, name: str) -> sending._Source:
        result = read(path, name)
        if name == "model.safetensors":
            path.write_bytes(b"WEIGHTS" * 1000)
        return result

    monkeypatch.setattr(sending, "_read_source", read_and_write)
    with pytest.raises(StorageError, match=r"model\.safetensors changed while it was copied"):
        transfer.put(source, str(tmp_path / "store" / "folder"))
    assert transfer.entries(str(tmp_path / "store")) == []


def test_two_processes_get_the_same_folder(tmp_path: Path, stored: Path) -> None:
    errors: list[BaseException] = []

    def get() -> None:
        try:
            transfer.get(str(stored), tmp_path / "back")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=get) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert contents(tmp_path / "back") == FILES
    assert not (tmp_path / ".back.partial").exists()


def test_progress_ends_at_all_bytes(tmp_path: Path, source: Path) -> None:
    total = sum(len(data) for data in FILES.values())
    seen: list[tuple[int, int]] = []
    for _ in range(2):
        transfer.put(source, str(tmp_path / "store"), lambda done, of: seen.append((done, of)))
        assert seen[-1] == (total, total)
        transfer.get(str(tmp_path / "store"), tmp_path / "back", lambda done, of: seen.append((done, of)))
        assert seen[-1] == (total, total)


def test_what_is_removed_is_gone(stored: Path) -> None:
    transfer.remove(str(stored))
    assert not stored.exists()
    transfer.remove(str(stored))
    make_folder(stored.parent, {"file": b"1"})
    transfer.remove(str(stored.parent / "file"))
    assert transfer.entries(str(stored.parent)) == []


@pytest.mark.parametrize("uri", ["gs://bucket/key", "s3://", "s3:///key", "s3://bucket/a/../b", "s3://bucket//a", ""])
def test_a_bad_place_is_named(uri: str) -> None:
    with pytest.raises(StorageError, match=r"s3://"):
        parse(uri)


@pytest.mark.parametrize("uri", ["/", "s3://bucket"])
def test_a_whole_store_is_never_removed(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    with pytest.raises(StorageError, match="whole store"):
        transfer.remove(uri)


@pytest.mark.parametrize("value", ["soon", "-1", "nan"])
def test_a_deadline_that_is_no_number_is_refused(value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT0_STORAGE_DEADLINE", value)
    with pytest.raises(StorageError, match="AGENT0_STORAGE_DEADLINE"):
        transfer.entries(str(tmp_path))


def test_storage_loads_without_boto3() -> None:
    code = "import sys, agent0.storage.transfer, agent0.storage.workspace; print('boto3' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
