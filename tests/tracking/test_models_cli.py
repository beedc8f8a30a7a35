"""`agent0 models` against a real store on a local disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient
from typer.testing import CliRunner, Result

from agent0.cli.main import app
from agent0.errors import Agent0Error, UsageError
from agent0.evaluation.registered_evaluations import record_evaluation
from agent0.evaluation.results import ResultsError, read_report
from agent0.storage.digest import model_digest
from agent0.storage.uri import StorageError
from agent0.tracking.registry import RegistryError, aliases

EXECUTOR = "agent0-executor"
WIDE = {"COLUMNS": "200"}


def models(*arguments: object) -> Result:
    result = CliRunner().invoke(app, ["models", *map(str, arguments)], env=WIDE)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def folders(make_model: Any, registered: Any) -> list[Path]:
    """The files of three versions, each trained from the one before."""
    made = [make_model(name) for name in ("base", "one", "two", "three")]
    for number in (1, 2, 3):
        registered(made[number], number, parent=made[number - 1])
    return made[1:]


@pytest.fixture
def evaluated(client: MlflowClient, folders: list[Path], write_evaluation: Any) -> Callable[..., Path]:
    """Write down an evaluation of a version on GSM8K and other benchmarks."""

    def do(number: int, right: int, *others: str, **changes: Any) -> Path:
        scores = dict.fromkeys(("gsm8k", *others), right)
        name = "-".join([f"e{number}", *others])
        place: Path = write_evaluation(name, scores, revision=model_digest(folders[number - 1]), **changes)
        version = client.get_model_version(EXECUTOR, str(number))
        record_evaluation(client, version, read_report(str(place)), place, str(place), str(version.run_id))
        return place

    return do


def test_models_and_versions_are_listed(folders: list[Path], evaluated: Any) -> None:
    evaluated(2, 40)
    assert "candidate → 3" in models("list").stdout
    lines = models("list", EXECUTOR).stdout.splitlines()
    (second,) = [line for line in lines if line.lstrip().startswith("2 ")]
    assert "gsm8k 40.0" in second
    assert model_digest(folders[1])[:12] in second


def test_a_script_reads_what_is_listed_shown_and_decided(folders: list[Path], evaluated: Any) -> None:
    evaluated(3, 40)
    (model,) = json.loads(models("list", "--json").stdout)
    assert (model["model"], model["newest"]) == (EXECUTOR, "3")
    assert [row["version"] for row in json.loads(models("list", EXECUTOR, "--json").stdout)] == ["3", "2", "1"]
    shown = json.loads(models("show", f"models:/{EXECUTOR}/3", "--json").stdout)
    assert shown["sha256"] == model_digest(folders[2])
    assert [row["version"] for row in shown["lineage"]][:3] == ["3", "2", "1"]
    assert [row["score"] for row in shown["scores"]] == ["40.0"]
    promoted = json.loads(models("promote", f"models:/{EXECUTOR}/3", "--json").stdout)
    assert (promoted["alias"], promoted["after"]) == ("champion", "3")


def test_a_version_is_shown_with_its_lineage_back_to_the_base_model(folders: list[Path], evaluated: Any) -> None:
    evaluated(3, 40)
    shown = models("show", f"models:/{EXECUTOR}@candidate").stdout
    first_words = [line.split()[0] for line in shown.splitlines() if line.strip() and "──" not in line]
    start = first_words.index("version", 1)
    assert first_words[start + 1 : start + 5] == ["3", "2", "1", "base:"]
    assert "gsm8k" in shown
    assert "40.0" in shown
    assert model_digest(folders[2]) in shown
    assert "Not evaluated yet." in models("show", f"models:/{EXECUTOR}/1").stdout


def test_a_download_is_the_model_byte_for_byte(folders: list[Path], tmp_path: Path) -> None:
    told = models("download", f"models:/{EXECUTOR}/2", tmp_path / "back").stdout
    assert f"version 2, sha256 {model_digest(folders[1])[:12]}… verified" in told
    expected = contents(folders[1])
    del expected["stage.json"]  # what the stage says of itself is no part of the model
    assert contents(tmp_path / "back") == expected
    assert models("download", f"models:/{EXECUTOR}/2", tmp_path / "back").exit_code == 0


def test_a_tampered_model_is_not_downloaded(folders: list[Path], tmp_path: Path) -> None:
    (folders[1] / "nested" / "config.json").write_text("[]")
    with pytest.raises(StorageError, match="is not what was registered"):
        models("download", f"models:/{EXECUTOR}/2", tmp_path / "back")
    (folders[1] / "nested" / "config.json").unlink()
    with pytest.raises(StorageError, match="is not what was registered"):
        models("download", f"models:/{EXECUTOR}/2", tmp_path / "back")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("back")] == []


def test_other_files_are_neither_mixed_in_nor_removed(folders: list[Path], tmp_path: Path) -> None:
    (tmp_path / "back").mkdir()
    (tmp_path / "back" / "thesis.txt").write_text("years of work")
    with pytest.raises(StorageError, match="holds other files"):
        models("download", f"models:/{EXECUTOR}/2", tmp_path / "back")
    assert (tmp_path / "back" / "thesis.txt").read_text() == "years of work"


def test_a_full_disk_leaves_nothing_visible(
    folders: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "shutil.copyfile", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device", "disk"))
    )
    with pytest.raises(StorageError, match=r"disk is full, so .* was not copied; free space"):
        models("download", f"models:/{EXECUTOR}/2", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_version_of_another_tool_is_not_trusted(client: MlflowClient, run_id: str, tmp_path: Path) -> None:
    client.create_registered_model("foreign")
    client.create_model_version("foreign", "s3://bucket/model", run_id=run_id)
    with pytest.raises(RegistryError, match="carries no sha256"):
        models("download", "models:/foreign/1", tmp_path / "back")


@pytest.mark.parametrize("name", ["team/agent", "models:/team/agent/1"])
def test_a_name_with_a_slash_is_refused(name: str, client: MlflowClient, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="models:/NAME@ALIAS or models:/NAME/VERSION"):
        models("download", name, tmp_path / "back")
    with pytest.raises(UsageError, match="cannot be called"):
        models("list", "team/agent")


@pytest.mark.parametrize(("right", "code", "champion"), [(80, 0, "2"), (51, 3, "1")])
def test_the_gate_promotes_on_the_recorded_evaluations(
    client: MlflowClient, evaluated: Any, right: int, code: int, champion: str
) -> None:
    evaluated(1, 50)
    assert models("promote", f"models:/{EXECUTOR}/1").exit_code == 0  # there is no champion yet
    evaluated(2, right)
    result = models("promote", f"models:/{EXECUTOR}/2")
    assert result.exit_code == code
    assert aliases(client, EXECUTOR)["champion"] == champion
    assert ("now points to version 2" if code == 0 else "Keep the champion") in result.stdout
    assert client.get_model_version(EXECUTOR, "2").tags["decision_reason"] == result.stdout.strip()


def test_the_gate_takes_evaluations_that_it_is_given(client: MlflowClient, evaluated: Any) -> None:
    client.set_registered_model_alias(EXECUTOR, "champion", "1")
    one, two = evaluated(1, 50), evaluated(2, 90)
    with pytest.raises(RegistryError, match="it is another model's"):
        models("promote", f"models:/{EXECUTOR}/2", "--evaluation", one, "--against", two)
    assert models("promote", f"models:/{EXECUTOR}/2", "--evaluation", two, "--against", one).exit_code == 0
    assert aliases(client, EXECUTOR)["champion"] == "2"


def test_the_first_champions_evaluation_is_read_and_must_be_its_own(client: MlflowClient, evaluated: Any) -> None:
    one, two = evaluated(1, 50), evaluated(2, 90)
    with pytest.raises(RegistryError, match="it is another model's"):
        models("promote", f"models:/{EXECUTOR}/2", "--evaluation", one, "--against", one)
    with pytest.raises(ResultsError, match="There is no file"):
        models("promote", f"models:/{EXECUTOR}/2", "--evaluation", two / "gone", "--against", one)
    assert "champion" not in aliases(client, EXECUTOR)
    assert models("promote", f"models:/{EXECUTOR}/2", "--evaluation", two, "--against", one).exit_code == 0
    assert aliases(client, EXECUTOR)["champion"] == "2"


def test_a_later_and_smaller_evaluation_hides_no_fuller_one(client: MlflowClient, evaluated: Any) -> None:
    client.set_registered_model_alias(EXECUTOR, "champion", "1")
    for number, right in ((1, 80), (2, 50)):
        evaluated(number, right, "math_500", finished_at=200.0)
    for number, right in ((1, 50), (2, 90)):
        evaluated(number, right, finished_at=300.0)
    result = models("promote", f"models:/{EXECUTOR}/2")
    assert (result.exit_code, aliases(client, EXECUTOR)["champion"]) == (3, "1")
    assert "math_500" in result.stdout


def test_what_was_never_evaluated_is_not_promoted(client: MlflowClient, folders: list[Path], evaluated: Any) -> None:
    result = models("promote", f"models:/{EXECUTOR}/2")
    assert (result.exit_code, "was never evaluated" in result.stdout) == (3, True)
    assert "champion" not in aliases(client, EXECUTOR)
    client.set_registered_model_alias(EXECUTOR, "champion", "1")
    evaluated(2, 90)
    result = models("promote", f"models:/{EXECUTOR}/2")
    assert (result.exit_code, "no evaluation in the same setting" in result.stdout) == (3, True)


def test_force_needs_a_reason_and_keeps_it(client: MlflowClient, folders: list[Path]) -> None:
    for options in (["--force"], ["--reason", "why"], ["--force", "--reason", "x", "--against", "y"]):
        with pytest.raises(UsageError, match="--force"):
            models("promote", f"models:/{EXECUTOR}/2", *options)
    result = models("promote", f"models:/{EXECUTOR}/2", "--force", "--reason", "the licence ended")
    assert result.exit_code == 0
    assert aliases(client, EXECUTOR)["champion"] == "2"
    tags = client.get_model_version(EXECUTOR, "2").tags
    assert (tags["decision"], "the licence ended" in tags["decision_reason"]) == ("forced", True)


def test_every_command_teaches_with_an_example() -> None:
    for command in ("list", "show", "promote", "download"):
        assert "Example: agent0 models" in CliRunner().invoke(app, ["models", command, "--help"], env=WIDE).stdout


def test_a_dead_server_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(Agent0Error, match=r"127\.0\.0\.1:9"):
        models("list")


def test_the_command_ends_without_a_traceback(store: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "agent0", "models", "show", "models:/nothing@champion"]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": store}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("agent0: There is no registered model 'nothing'")
