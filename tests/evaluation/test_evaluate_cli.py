from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from agent0.evaluation.catalogue import BENCHMARKS

PUBLISHED = [entry.name for entry in BENCHMARKS if entry.generate is None]
COMMAND = [sys.executable, "-c", "from agent0.cli import main; main()", "evaluate"]
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
        assert f" {name} " in whole.stdout
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


def test_the_record_is_printed_as_json(model: Path, tmp_path: Path) -> None:
    done = evaluate(
        model, tmp_path, tmp_path / "out", "--set", "evaluation.questions_per_level=1", "--json", "--quiet", "--no-tool"
    )
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["benchmarks"][0]["benchmark"] == "tiny"
    assert record["tool"] is False


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
    arguments: list[str], code: int, message: str, model: Path, tmp_path: Path
) -> None:
    done = evaluate(model, tmp_path, tmp_path / "out", *arguments)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert message in done.stderr
