from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agent0.benchmarks.catalogue import BENCHMARKS, benchmark
from agent0.benchmarks.loading import load_items
from agent0.benchmarks.spec import PRESETS, Preset
from agent0.cli.main import app, main
from agent0.config import load_config
from agent0.errors import Agent0Error, UsageError
from agent0.evaluation.results import read_report
from agent0.rollout.scripted import ScriptedBackend
from agent0.stages import Stage
from agent0.stages.base_model import run_base_model
from agent0.storage.digest import model_digest

PUBLISHED = [entry.name for entry in BENCHMARKS if entry.generate is None]
COMMAND = [sys.executable, "-c", "from agent0.cli.main import main; main()", "evaluate"]
SHORT = ["--no-tool", "--partial", "--samples", "2", "--set", "evaluation.max_response_tokens=8"]


@pytest.fixture(scope="module")
def model(random_model: Any, tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a model that knows nothing."""
    folder = tmp_path_factory.mktemp("model")
    random_model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def evaluate(model: Path, data: Path, output: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "--model", str(model), "--data", str(data), "--output", str(output), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "160", "OMP_NUM_THREADS": "1"},
        check=False,
        timeout=280,
    )


def samples(output: Path) -> dict[tuple[str, str, int], str]:
    """The text of every finished sample by benchmark, item and number; a cut-off line counts for nothing."""
    found = {}
    for path in sorted(output.glob("*/samples.jsonl")):
        for line in path.read_text().split("\n")[:-1]:
            row = json.loads(line)
            found[path.parent.name, row["item"], row["sample"]] = row["text"]
    return found


@pytest.mark.slow
def test_all_benchmarks_killed_and_resumed_end_as_if_nothing_had_happened(
    model: Path, made_up_rows: Path, tmp_path: Path
) -> None:
    arguments = ["--benchmarks", ",".join(PUBLISHED), *SHORT, "--set", "rollout.batch_size=4"]
    whole = evaluate(model, made_up_rows, tmp_path / "whole", *arguments)
    assert whole.returncode == 0, whole.stderr
    assert "can show" in whole.stdout  # before the run
    for name in PUBLISHED:
        assert f"\n{name} " in whole.stdout
        assert (tmp_path / "whole" / "logs" / f"{name}.eval").is_file()
    command = [*COMMAND, "--model", str(model), "--data", str(made_up_rows), "--output", str(tmp_path / "killed")]
    process = subprocess.Popen([*command, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(samples(tmp_path / "killed")) < 20 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = samples(tmp_path / "killed")
    assert len(kept) >= 20
    assert not (tmp_path / "killed" / "evaluation.json").exists(), "it ended before it was killed"
    refused = evaluate(model, made_up_rows, tmp_path / "killed", *arguments)
    assert refused.returncode == 2
    assert "--resume" in refused.stderr
    resumed = evaluate(model, made_up_rows, tmp_path / "killed", *arguments, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert samples(tmp_path / "killed") == samples(tmp_path / "whole")
    assert len(samples(tmp_path / "whole")) == 12 * len(PUBLISHED)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_scripted_engine_is_asked_every_sample_once_however_often_it_breaks_off(
    preset: Preset, model: Path, made_up_rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: dict[str, str] = {}
    for entry in map(benchmark, PUBLISHED):
        items = load_items(entry, str(made_up_rows), partial=True)
        answers |= {item.question: entry.echo[preset](item) for item in items}
    asked = 0

    def write(text: str) -> str:
        nonlocal asked
        asked += 1
        if asked % 50 == 0:
            raise Agent0Error("the machine is gone")
        return answers[max(answers, key=text.rfind)]

    @contextmanager
    def scripted(folder: Path, tokenizer: Any, *_: Any, **__: Any) -> Iterator[ScriptedBackend]:
        yield ScriptedBackend(tokenizer, write, concurrency=1)

    monkeypatch.setattr("agent0.evaluation.local_evaluation.open_backend", scripted)
    monkeypatch.setattr("agent0.evaluation.local_evaluation.model_positions", lambda folder: None)
    given = ["evaluate", "--model", str(model), "--data", str(made_up_rows), "--output", str(tmp_path / "out")]
    given += ["--benchmarks", ",".join(PUBLISHED), "--preset", preset, "--no-tool", "--partial", "--samples", "2"]
    attempts = 1
    while isinstance(CliRunner().invoke(app, [*given, *(["--resume"] if attempts > 1 else [])]).exception, Agent0Error):
        attempts += 1
        assert attempts < 6
    assert attempts == 3
    assert asked == 12 * len(PUBLISHED) + 2  # nothing is drawn again but the two that broke off
    report = read_report(str(tmp_path / "out"))
    assert [score.benchmark for score in report.benchmarks] == PUBLISHED
    assert {score.mean_at_k.mean for score in report.benchmarks} == {1.0}


def test_the_embedded_model_is_the_one_that_an_evolution_starts_from_and_is_made_once(
    made_up_rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT0_CACHE", str(tmp_path / "cache"))
    small = ["model.tiny.steps=2", "model.tiny.hidden_size=16", "model.tiny.layers=1", "model.tiny.heads=2"]
    given = [argument for setting in small for argument in ("--set", setting)]
    given += ["--model", "tiny", "--benchmarks", "gsm8k", "--data", str(made_up_rows), *SHORT]
    first = CliRunner().invoke(app, ["evaluate", *given, "--output", str(tmp_path / "first")])
    assert first.exit_code == 0, first.output
    monkeypatch.setattr("agent0.tiny.pretrain.pretrain", None)  # nobody trains it again
    second = CliRunner().invoke(app, ["evaluate", *given, "--output", str(tmp_path / "second")])
    assert second.exit_code == 0, second.output
    assert samples(tmp_path / "second") == samples(tmp_path / "first")
    run_base_model(Stage.untracked("base_model"), output=tmp_path / "base", model=load_config("tiny", small).model)
    report = read_report(str(tmp_path / "first"))
    assert (report.name, report.model, report.revision) == ("tiny", "tiny", model_digest(tmp_path / "base"))


def test_the_record_is_printed_as_json(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    given = ["--model", str(model), "--output", str(tmp_path / "out"), "--json", "--no-tool"]
    monkeypatch.setattr(sys, "argv", ["agent0", "evaluate", *given, "--set", "evaluation.questions_per_level=1"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    out, err = capfd.readouterr()
    record = json.loads(out)
    assert record["benchmarks"][0]["benchmark"] == "tiny"
    assert record["tool"] is False
    assert "tiny: most samples hold no answer that its rule reads" in err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--benchmarks", "gsm9k"], 2, "There is no benchmark 'gsm9k'"),
        (["--benchmarks", "gsm8k"], 1, "put gsm8k.jsonl"),
        (["--benchmarks", "gsm8k", "--preset", "papers"], 2, "'paper' or 'official'"),
        (["--benchmarks", "tiny", "--set", "rollout.max_response_tokens=4000"], 2, "knows 512 positions"),
    ],
)
def test_what_cannot_run_is_one_sentence(
    arguments: list[str],
    code: int,
    message: str,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    places = ["--model", str(model), "--data", str(tmp_path), "--output", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["agent0", "evaluate", *places, *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert (ended.value.code, "Traceback" in said) == (code, False), said
    assert message in said


def test_a_finished_record_is_not_replaced_by_one_of_other_benchmarks(tmp_path: Path, write_evaluation: Any) -> None:
    folder = write_evaluation("out", {"gsm8k": 50, "math_500": 60})
    before = (folder / "evaluation.json").read_bytes()
    given = ["evaluate", "--model", "no/such/model", "--output", str(folder), "--resume", "--benchmarks"]
    with pytest.raises(UsageError, match="finished evaluation of gsm8k, math_500, and the record of gsm8k would"):
        CliRunner().invoke(app, [*given, "gsm8k"], catch_exceptions=False)
    assert (folder / "evaluation.json").read_bytes() == before
    with pytest.raises(Agent0Error, match="no/such/model"):  # the same ones pass, in any order
        CliRunner().invoke(app, [*given, "math_500,gsm8k"], catch_exceptions=False)
