"""A SQLite tracking store writes beside itself, wherever it was copied or moved to."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from agent0.tracking.delivery import RefusedError
from agent0.tracking.mlflow_runs import open_client, start_run


def uri(folder: Path) -> str:
    return f"sqlite:///{folder}/mlflow.db"


@pytest.fixture
def original(empty_store: Path, tmp_path: Path) -> Path:
    """A folder with a store, in it a run with an artifact, and a model version whose files lie beside the store."""
    folder = tmp_path / "an original"
    (folder / "runs" / "model").mkdir(parents=True)
    shutil.copyfile(empty_store, folder / "mlflow.db")
    run = start_run(uri(folder), "agent0", "evolution", {}, {})
    kept = folder / "mlartifacts" / run / "artifacts"  # by hand: a process remembers a run's place
    kept.mkdir(parents=True)
    (kept / "note.txt").write_text("first")
    client = open_client(uri(folder))
    client.create_registered_model("executor")
    client.create_model_version("executor", str(folder / "runs" / "model"), run_id=run)
    return folder


def runs_of(folder: Path) -> list[str]:
    return [run.info.run_id for run in open_client(uri(folder)).search_runs(["1"])]


def files_in(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("moved", [False, True])
def test_what_is_tracked_in_a_copy_lies_in_the_copy(moved: bool, original: Path, tmp_path: Path) -> None:
    (first,) = runs_of(original)
    before = files_in(original)
    copy = tmp_path / "a copy"
    (shutil.move if moved else shutil.copytree)(original, copy)
    client = open_client(uri(copy))
    client.log_text(first, "again", "again.txt")
    second = start_run(uri(copy), "agent0", "evolution", {}, {}, texts={"note.txt": "second"})
    for run, names in ((first, {"note.txt", "again.txt"}), (second, {"note.txt"})):
        assert {item.path for item in client.list_artifacts(run)} == names
        assert files_in(copy / "mlartifacts" / run / "artifacts") == {Path(name) for name in names}
    assert client.get_model_version("executor", "1").source == str(copy / "runs" / "model")
    if not moved:
        assert files_in(original) == before


def test_a_model_that_did_not_come_along_is_still_found_where_it_is(original: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(original, tmp_path / "a copy", ignore=shutil.ignore_patterns("runs"))
    assert open_client(uri(copy)).get_model_version("executor", "1").source == str(original / "runs" / "model")


def test_a_copy_without_its_artifacts_is_refused(original: Path, tmp_path: Path) -> None:
    (tmp_path / "alone").mkdir()
    shutil.copy(original / "mlflow.db", tmp_path / "alone")
    with pytest.raises(RefusedError, match=f"was copied from {original}/mlflow.db without its artifacts"):
        open_client(uri(tmp_path / "alone"))


def test_a_link_to_a_store_is_the_store(original: Path, tmp_path: Path) -> None:
    (tmp_path / "linked").symlink_to(original)
    (run,) = runs_of(tmp_path / "linked")
    open_client(uri(tmp_path / "linked")).log_text(run, "again", "again.txt")
    assert (original / "mlartifacts" / run / "artifacts" / "again.txt").is_file()


def test_asking_makes_no_store(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=f"There is no tracking store at {tmp_path}/mlflow.db"):
        open_client(uri(tmp_path))
    assert list(tmp_path.iterdir()) == []
