"""Commands whose paths are places on a real S3 server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agent0.cli.main import app
from agent0.errors import UsageError
from agent0.storage import transfer
from agent0.storage.uri import StorageError
from agent0.storage.uri_files import output_folder, read_file, read_folder, write_file

pytestmark = pytest.mark.integration
pytest.importorskip("boto3", reason="the extra s3 is not installed")
SHORT = [
    "--benchmarks",
    "tiny",
    "--no-tool",
    "--set",
    "evaluation.samples=1",
    "--set",
    "evaluation.questions_per_level=2",
    "--quiet",
]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, whose folder `output` holds what is not stored yet."""
    monkeypatch.setenv("AGENT0_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "output"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from agent0.cli.main import main; main()", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "160", "OMP_NUM_THREADS": "1"},
        check=False,
        timeout=280,
    )


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_file_goes_there_and_comes_back(bucket: str) -> None:
    place = f"s3://{bucket}/a/recipe.toml"
    with write_file(place) as path:
        path.write_text("x = 1")
    with read_file(place) as path:
        assert (path.name, path.read_text()) == ("recipe.toml", "x = 1")
    assert not path.exists()


def test_what_fails_is_not_stored(bucket: str) -> None:
    def fail() -> None:
        with write_file(f"s3://{bucket}/a") as path:
            _write(path, "half")
            raise TimeoutError

    with pytest.raises(TimeoutError):
        fail()
    assert transfer.entries(f"s3://{bucket}") == []


def test_only_the_wanted_files_of_a_folder_are_fetched(bucket: str, tmp_path: Path) -> None:
    for name in ("history.json", "a/stage.json", "a/weights"):
        _write(tmp_path / "run" / name, name)
    transfer.put(tmp_path / "run", f"s3://{bucket}/run")
    with read_folder(f"s3://{bucket}/run/", lambda name: name.endswith(".json")) as folder:
        assert folder.name == "run"
        assert sorted(p.name for p in folder.rglob("*") if p.is_file()) == ["history.json", "stage.json"]


def test_an_output_is_stored_whole_and_gone_on_with(bucket: str, cache: Path) -> None:
    place = f"s3://{bucket}/out"

    def fail() -> None:
        with output_folder(place, resume=False) as output:
            _write(output.folder / "first", "1")
            raise TimeoutError

    with pytest.raises(TimeoutError):
        fail()
    assert transfer.entries(f"s3://{bucket}") == []
    with output_folder(f"{place}/", resume=True) as output:
        assert (output.folder / "first").read_text() == "1"
        (output.folder / "second").write_text("2")
    assert transfer.entries(place) == ["first", "second"]
    assert list(cache.iterdir()) == []
    with pytest.raises(UsageError, match=f"{place} is stored already"), output_folder(place, resume=False):
        pass
    with output_folder(place, resume=True) as output:
        (output.folder / "third").write_text("3")
    assert transfer.entries(place) == ["first", "second", "third"]


def test_an_output_on_another_machine_that_is_half_there_is_refused(bucket: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    transfer.put(tmp_path / "file", f"s3://{bucket}/out/file")
    with pytest.raises(StorageError, match="is not whole"), output_folder(f"s3://{bucket}/out", resume=True):
        pass


def test_an_evaluation_ends_in_the_store_and_is_resumed_there(
    bucket: str, tmp_path: Path, cache: Path, random_model: Any, tokenizer: Any
) -> None:
    random_model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    place = f"s3://{bucket}/evaluation"
    command = ["evaluate", "--model", str(tmp_path / "model"), *SHORT, "--output", place]
    done = run(*command)
    assert done.returncode == 0, done.stderr
    assert f"record  {place}/evaluation.json" in done.stdout
    assert {"evaluation.json", "questions", "logs", "tiny"} <= set(transfer.entries(place))
    assert list(cache.iterdir()) == []
    refused = run(*command)
    assert refused.returncode == 2
    assert "--resume" in refused.stderr
    before = transfer.manifest_of(place)
    resumed = run(*command, "--resume", "--json")
    assert resumed.returncode == 0, resumed.stderr
    assert [score["questions"] for score in json.loads(resumed.stdout)["benchmarks"]] == [10]
    samples = [record for record in before.files if record.path == "tiny/samples.jsonl"]
    assert samples == [record for record in transfer.manifest_of(place).files if record.path == "tiny/samples.jsonl"]
    page = f"s3://{bucket}/pages/comparison.html"
    compared = CliRunner().invoke(app, ["compare", place, "--output", page])
    assert compared.exit_code == 0, compared.output
    with read_file(page) as path:
        assert "<html" in path.read_text()


def test_a_pipeline_is_compiled_to_the_store_and_read_from_there(bucket: str) -> None:
    recipe, place = f"s3://{bucket}/mine.toml", f"s3://{bucket}/evaluation.yaml"
    with write_file(recipe) as path:
        path.write_text('[evaluation]\nbenchmarks = ["gsm8k"]\n')
    compiled = CliRunner().invoke(app, ["pipeline", "compile", "evaluation", "--recipe", recipe, "-o", place])
    assert compiled.exit_code == 0, compiled.output
    assert f"evaluation of gsm8k, recipe {recipe}" in compiled.output
    shown = CliRunner().invoke(app, ["pipeline", "params", place, "--json"])
    assert shown.exit_code == 0, shown.output
    assert "evaluation" in {item["name"] for item in json.loads(shown.stdout)}
