"""Folders that other tools stored, as Kubeflow's launcher and MLflow do: no manifest, so their digest decides."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from agent0.storage.digest import folder_digest, model_digest, of_a_model
from agent0.storage.foreign_folders import get_plain, holds_files
from agent0.storage.store import LocalStore
from agent0.storage.uri import NotThereError, StorageError

MEBIBYTE = 1 << 20


def make(folder: Path, big_bytes: int = 1000) -> Path:
    (folder / "nested/ünïcode +%").mkdir(parents=True)
    (folder / "nested/ünïcode +%" / "config.json").write_text("{}")
    (folder / "empty").touch()
    (folder / "model.safetensors").write_bytes(os.urandom(big_bytes))
    (folder / "stage.json").write_text("written after the model's digest was known")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def model_contents(folder: Path) -> dict[str, bytes]:
    return {name: data for name, data in contents(folder).items() if of_a_model(name)}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make(tmp_path / "source")


def upload(client: Any, source: Path, bucket: str, prefix: str) -> None:
    """Store a folder as the launcher does: plain objects, without metadata."""
    for path in source.rglob("*"):
        if path.is_file():
            key = f"{prefix}/{path.relative_to(source).as_posix()}"
            client.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())


def get(source: str, target: Path, sha256: str, **more: Any) -> None:
    get_plain(source, target, sha256, of_a_model, **more)


def test_what_counts_comes_back(source: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    get(str(source), tmp_path / "back", model_digest(source), progress=lambda done, total: seen.append((done, total)))
    assert contents(tmp_path / "back") == model_contents(source)
    assert seen[-1] == (1002, 1002)
    get(str(source), tmp_path / "back", model_digest(source))


def test_another_digest_is_refused_and_nothing_appears(source: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="is not what was registered"):
        get(str(source), tmp_path / "back", "0" * 64)
    with pytest.raises(NotThereError, match="There is nothing at"):
        get(str(tmp_path / "nothing"), tmp_path / "back", "0" * 64)
    assert not (tmp_path / "back").exists()


def test_what_an_earlier_attempt_fetched_is_used_unless_it_is_wrong(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / ".back.partial" / "whole"
    left.mkdir(parents=True)
    shutil.copyfile(source / "model.safetensors", left / "model.safetensors")
    fetched: list[str] = []
    original = LocalStore.fetch

    def count(self: LocalStore, key: str, *more: Any) -> None:
        fetched.append(Path(key).name)
        original(self, key, *more)

    monkeypatch.setattr(LocalStore, "fetch", count)
    get(str(source), tmp_path / "back", model_digest(source))
    assert "model.safetensors" not in fetched
    left.mkdir(parents=True)
    (left / "model.safetensors").write_bytes(bytes(1000))  # the right size, and not the right bytes
    shutil.rmtree(tmp_path / "back")
    get(str(source), tmp_path / "back", model_digest(source))
    assert contents(tmp_path / "back") == model_contents(source)


def test_other_files_make_way_only_where_that_is_asked_for(source: Path, tmp_path: Path) -> None:
    (tmp_path / "back").mkdir()
    (tmp_path / "back" / "other").write_text("mine")
    with pytest.raises(StorageError, match="holds other files"):
        get(str(source), tmp_path / "back", model_digest(source))
    assert contents(tmp_path / "back") == {"other": b"mine"}
    get(str(source), tmp_path / "back", model_digest(source), replace=True)
    assert contents(tmp_path / "back") == model_contents(source)


@pytest.mark.integration
def test_what_a_launcher_stored_in_s3_comes_back(source: Path, tmp_path: Path, bucket: str, client: Any) -> None:
    (source / "model.safetensors").write_bytes(os.urandom(20 * MEBIBYTE))
    upload(client, source, bucket, "v2/artifacts/run/trained")
    client.put_object(Bucket=bucket, Key="v2/artifacts/run/trained/nested/", Body=b"")  # a console's "folder"
    get(f"s3://{bucket}/v2/artifacts/run/trained", tmp_path / "back", model_digest(source))
    assert contents(tmp_path / "back") == model_contents(source)
    assert holds_files(f"s3://{bucket}/v2/artifacts/run")
    assert not holds_files(f"s3://{bucket}/v2/artifacts/ru")


@pytest.mark.integration
def test_a_changed_object_of_a_launcher_is_found(source: Path, tmp_path: Path, bucket: str, client: Any) -> None:
    upload(client, source, bucket, "trained")
    client.put_object(Bucket=bucket, Key="trained/nested/ünïcode +%/config.json", Body=b"[]")
    with pytest.raises(StorageError, match="is not what was registered"):
        get(f"s3://{bucket}/trained", tmp_path / "back", model_digest(source))
    client.put_object(Bucket=bucket, Key="trained/nested/ünïcode +%/config.json", Body=b"{}")
    client.put_object(Bucket=bucket, Key="trained/added.py", Body=b"import os")
    with pytest.raises(StorageError, match="is not what was registered"):
        get(f"s3://{bucket}/trained", tmp_path / "back", model_digest(source))
    assert [path.name for path in tmp_path.iterdir() if "back" in path.name] == []


@pytest.mark.integration
def test_a_key_that_leads_out_of_its_folder_is_refused(tmp_path: Path, bucket: str, client: Any) -> None:
    client.put_object(Bucket=bucket, Key="trained/../outside", Body=b"x")
    with pytest.raises(StorageError, match="lies outside it"):
        get(f"s3://{bucket}/trained", tmp_path / "back", folder_digest(tmp_path))
    assert not (tmp_path / "outside").exists()
