"""Transfers against a real S3 server: what comes back, what is refused, and what survives a kill or a restart."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from agent0.errors import UsageError
from agent0.storage import transfer
from agent0.storage.uri import StorageError
from agent0.storage.workspace import clear_workspace, open_workspace

pytestmark = pytest.mark.integration
pytest.importorskip("boto3", reason="the extra s3 is not installed")
MEBIBYTE = 1 << 20
on_swift_alone = pytest.mark.parametrize("s3", ["swift"], indirect=True)  # whose files on disk can be looked at


def make_folder(folder: Path, small: int = 40, big_bytes: int = 0, seed: bytes = b"a") -> Path:
    (folder / "nested/ünïcode +%").mkdir(parents=True)
    for index in range(small):
        (folder / ("nested/ünïcode +%" if index % 2 else "") / f"{index}.json").write_bytes(seed * (index * 50))
    if big_bytes:
        (folder / "model.safetensors").write_bytes(os.urandom(big_bytes))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def put_process(source: Path, uri: str) -> subprocess.Popen[bytes]:
    code = "import sys; from pathlib import Path; from agent0.storage import transfer; "
    return subprocess.Popen([sys.executable, "-c", f"{code}transfer.put(Path(sys.argv[1]), sys.argv[2])", source, uri])


def test_many_small_files_and_a_large_one_come_back_as_they_went(tmp_path: Path, bucket: str) -> None:
    source = make_folder(tmp_path / "source", small=200, big_bytes=100 * MEBIBYTE)
    seen: list[tuple[int, int]] = []
    transfer.put(source, f"s3://{bucket}/models/7", lambda done, of: seen.append((done, of)))
    assert seen[-1][0] == seen[-1][1] == sum(len(data) for data in contents(source).values())
    assert transfer.entries(f"s3://{bucket}/models") == ["7"]
    assert transfer.entries(f"s3://{bucket}/models/7")[-2:] == ["model.safetensors", "nested"]
    transfer.get(f"s3://{bucket}/models/7", tmp_path / "back")
    assert contents(tmp_path / "back") == contents(source)
    transfer.remove(f"s3://{bucket}/models/7")
    assert transfer.entries(f"s3://{bucket}/models") == []


@pytest.mark.parametrize("size", [0, 1, 8 * MEBIBYTE, 8 * MEBIBYTE + 1])
def test_a_file_comes_back_as_it_went(tmp_path: Path, bucket: str, size: int) -> None:
    (tmp_path / "file").write_bytes(os.urandom(size))
    transfer.put(tmp_path / "file", f"s3://{bucket}/here/file")
    transfer.get(f"s3://{bucket}/here/file", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == (tmp_path / "file").read_bytes()
    assert transfer.entries(f"s3://{bucket}/here") == ["file"]


def test_a_folder_fits_the_root_of_a_bucket(tmp_path: Path, bucket: str) -> None:
    source = make_folder(tmp_path / "source", small=3)
    transfer.put(source, f"s3://{bucket}")
    transfer.get(f"s3://{bucket}", tmp_path / "back")
    assert contents(tmp_path / "back") == contents(source)


def test_more_objects_than_fit_a_page_are_listed(tmp_path: Path, bucket: str, client: Any) -> None:
    transfer.put(make_folder(tmp_path / "source", small=1100), f"s3://{bucket}/many")
    assert len(transfer.entries(f"s3://{bucket}/many")) == 551


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_wrong_keys_are_named(tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    source = make_folder(tmp_path / "source", small=1)
    transfer.put(source, f"s3://{bucket}/folder")
    monkeypatch.setenv(name, "test:wrong")
    for action in (
        lambda: transfer.put(source, f"s3://{bucket}/folder"),
        lambda: transfer.put(source / "0.json", f"s3://{bucket}/file"),
        lambda: transfer.get(f"s3://{bucket}/folder", tmp_path / "back"),
        lambda: transfer.entries(f"s3://{bucket}"),
        lambda: transfer.remove(f"s3://{bucket}/folder"),
    ):
        begin = time.monotonic()
        with pytest.raises(StorageError, match=r"AWS_ACCESS_KEY_ID.*127\.0\.0\.1"):
            action()
        assert time.monotonic() - begin < 20
    assert not (tmp_path / "back").exists()


def test_no_keys_are_named(tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StorageError, match="no complete S3 credentials"):
        transfer.entries(f"s3://{bucket}")


def test_a_missing_bucket_is_named(tmp_path: Path, bucket: str) -> None:
    source = make_folder(tmp_path / "source", small=1)
    for action in (
        lambda: transfer.put(source, "s3://agent0-nowhere/folder"),
        lambda: transfer.put(source / "0.json", "s3://agent0-nowhere/file"),
        lambda: transfer.get("s3://agent0-nowhere/folder", tmp_path / "back"),
        lambda: transfer.entries("s3://agent0-nowhere"),
        lambda: transfer.remove("s3://agent0-nowhere/folder"),
    ):
        with pytest.raises(StorageError, match=r"bucket does not exist.*agent0-nowhere"):
            action()


def test_a_missing_object_is_named(tmp_path: Path, bucket: str) -> None:
    with pytest.raises(StorageError, match=f"nothing at s3://{bucket}/nothing"):
        transfer.get(f"s3://{bucket}/nothing", tmp_path / "back")
    transfer.remove(f"s3://{bucket}/nothing")


def test_a_wrong_clock_is_named(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    past = datetime.datetime.now(datetime.UTC).replace(tzinfo=None) - datetime.timedelta(hours=2)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_, **__: past)
    with pytest.raises(StorageError, match="clock"):
        transfer.entries(f"s3://{bucket}")


@pytest.mark.parametrize("content", [b"b" * 150, b"a", b""])
def test_a_changed_object_is_found(tmp_path: Path, bucket: str, client: Any, content: bytes) -> None:
    transfer.put(make_folder(tmp_path / "source", small=5), f"s3://{bucket}/folder")
    client.put_object(Bucket=bucket, Key="folder/nested/ünïcode +%/3.json", Body=content)
    with pytest.raises(StorageError, match=r"3\.json is not what was stored there"):
        transfer.get(f"s3://{bucket}/folder", tmp_path / "back")
    assert not (tmp_path / "back").exists()


@on_swift_alone
def test_a_byte_that_rots_in_a_large_object_is_found(tmp_path: Path, bucket: str, swift: Any) -> None:
    old = set(swift.files())
    transfer.put(make_folder(tmp_path / "source", small=1, big_bytes=20 * MEBIBYTE), f"s3://{bucket}/folder")
    part = max(set(swift.files()) - old, key=lambda path: path.stat().st_size)
    with part.open("r+b") as file:
        file.seek(1000)
        byte = file.read(1)
        file.seek(1000)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(StorageError, match=r"model\.safetensors is not what was stored there"):
        transfer.get(f"s3://{bucket}/folder", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_an_object_of_another_tool_is_refused(tmp_path: Path, bucket: str, client: Any) -> None:
    client.put_object(Bucket=bucket, Key="file", Body=b"whatever")
    with pytest.raises(StorageError, match="no sha256"):
        transfer.get(f"s3://{bucket}/file", tmp_path / "back")


@on_swift_alone
def test_a_killed_upload_goes_on_with_the_files_that_are_missing(tmp_path: Path, bucket: str, swift: Any) -> None:
    source = make_folder(tmp_path / "source", small=60, big_bytes=100 * MEBIBYTE)
    before = set(swift.files())
    process = put_process(source, f"s3://{bucket}/folder")
    while sum(path.stat().st_size for path in set(swift.files()) - before) < 40 * MEBIBYTE:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    time.sleep(0.5)
    assert transfer.entries(f"s3://{bucket}") == []
    with pytest.raises(StorageError, match="not whole"):
        transfer.get(f"s3://{bucket}/folder", tmp_path / "back")
    kept = {path for path in set(swift.files()) - before if path.stat().st_size > 0}
    files = {path for path in kept if path.stat().st_size < MEBIBYTE}
    assert len(files) >= 40

    transfer.put(source, f"s3://{bucket}/folder")
    assert files <= set(swift.files())
    transfer.get(f"s3://{bucket}/folder", tmp_path / "back")
    assert contents(tmp_path / "back") == contents(source)
    now = set(swift.files())
    transfer.put(source, f"s3://{bucket}/folder")
    assert set(swift.files()) == now


def test_a_server_that_restarts_is_waited_for(tmp_path: Path, bucket: str, s3: Any) -> None:
    source = make_folder(tmp_path / "source", small=100, big_bytes=100 * MEBIBYTE)
    for action in (
        lambda: transfer.put(source, f"s3://{bucket}/folder"),
        lambda: transfer.get(f"s3://{bucket}/folder", tmp_path / "back"),
    ):
        errors: list[BaseException] = []
        worker = threading.Thread(target=_collect, args=(action, errors))
        worker.start()
        time.sleep(0.3)
        assert worker.is_alive()
        s3.stop()
        time.sleep(1.0)
        s3.start()
        worker.join()
        assert errors == []
    assert contents(tmp_path / "back") == contents(source)


def test_a_server_that_is_gone_is_an_error_at_the_deadline(
    tmp_path: Path, bucket: str, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_folder(tmp_path / "source", small=30)
    transfer.put(source, f"s3://{bucket}/folder")
    monkeypatch.setenv("AGENT0_STORAGE_DEADLINE", "2")
    s3.stop()
    try:
        for action in (
            lambda: transfer.put(source, f"s3://{bucket}/other"),
            lambda: transfer.get(f"s3://{bucket}/folder", tmp_path / "back"),
        ):
            begin = time.monotonic()
            with pytest.raises(StorageError, match=r"did not answer for .* AGENT0_STORAGE_DEADLINE"):
                action()
            assert 1 < time.monotonic() - begin < 8
    finally:
        s3.start()
    assert not (tmp_path / "back").exists()
    assert transfer.entries(f"s3://{bucket}") == ["folder"]


def test_the_same_folder_put_by_many_at_once_is_whole(tmp_path: Path, bucket: str) -> None:
    source = make_folder(tmp_path / "source", small=10, big_bytes=20 * MEBIBYTE)
    errors: list[BaseException] = []
    action = lambda: transfer.put(source, f"s3://{bucket}/folder")  # noqa: E731
    _side_by_side([action] * 4, errors)
    assert errors == []
    transfer.get(f"s3://{bucket}/folder", tmp_path / "back")
    assert contents(tmp_path / "back") == contents(source)


def test_different_folders_put_to_one_place_never_mix(tmp_path: Path, bucket: str) -> None:
    sources = [make_folder(tmp_path / f"source{seed}", small=20, seed=b"ab"[seed : seed + 1]) for seed in range(2)]
    for attempt in range(4):
        errors: list[BaseException] = []
        _side_by_side([lambda s=source: transfer.put(s, f"s3://{bucket}/folder") for source in sources], errors)
        assert all(isinstance(error, StorageError) for error in errors)
        try:
            transfer.get(f"s3://{bucket}/folder", tmp_path / f"back{attempt}")
        except StorageError:
            assert not (tmp_path / f"back{attempt}").exists()
        else:
            assert contents(tmp_path / f"back{attempt}") in [contents(source) for source in sources]


def test_a_workspace_comes_back_on_another_disk(tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT0_WORKSPACE", f"s3://{bucket}/unfinished")
    settings = {"seed": 1, "steps": 10}
    first = open_workspace("run/2-executor_training", tmp_path / "output", settings)
    (first.folder / "shard-0.jsonl").write_text("one")
    first.save("shard-0.jsonl")
    make_folder(first.folder / "checkpoint-5", small=5, big_bytes=9 * MEBIBYTE)
    first.save("checkpoint-5")
    make_folder(first.folder / "checkpoint-6", small=5)

    second = open_workspace("run/2-executor_training", tmp_path / "output", settings)
    assert second.folder != first.folder
    assert sorted(p.name for p in second.folder.iterdir()) == ["checkpoint-5", "settings.json", "shard-0.jsonl"]
    assert contents(second.folder / "checkpoint-5") == contents(first.folder / "checkpoint-5")
    with pytest.raises(UsageError, match="steps: 11, was 10"):
        open_workspace("run/2-executor_training", tmp_path / "output", {"seed": 1, "steps": 11})

    second.drop("checkpoint-5")
    third = open_workspace("run/2-executor_training", tmp_path / "output", settings)
    assert sorted(p.name for p in third.folder.iterdir()) == ["settings.json", "shard-0.jsonl"]
    clear_workspace("run")
    assert transfer.entries(f"s3://{bucket}/unfinished/run/2-executor_training") == []


def _collect(action: Any, errors: list[BaseException]) -> None:
    try:
        action()
    except BaseException as error:
        errors.append(error)


def _side_by_side(actions: list[Any], errors: list[BaseException]) -> None:
    threads = [threading.Thread(target=_collect, args=(action, errors)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
