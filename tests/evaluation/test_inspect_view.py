"""`inspect view` itself opens the logs: its server is started on this machine and asked as a browser asks it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from agent0.config import EvaluationSettings, RolloutSettings, SandboxSettings
from agent0.evaluation.assignments import prepare
from agent0.evaluation.conclusion import Subject, conclude, judge
from agent0.evaluation.sample_runner import open_stores
from agent0.evaluation.sample_store import SampleRecord
from agent0.types import ToolCall

DEADLINE = 60.0


@pytest.fixture
def logs(made_up_rows: Path, tokenizer: Any, tmp_path: Path) -> Path:
    """Logs of an evaluation in which every sample ran a program."""
    pytest.importorskip("inspect_ai")
    settings = EvaluationSettings(benchmarks=("gsm8k",), data=str(made_up_rows), sampled_rows=True)
    rollout = RolloutSettings()
    assignments = prepare(settings, rollout, tokenizer, 0)
    stores = open_stores(assignments, tmp_path, "digest", rollout, SandboxSettings())
    call = ToolCall(code="print(6 * 7)\n", observation="42\n", status="ok")
    record = SampleRecord(
        item="", sample=0, seed=0, text="so it is \\boxed{42}",
        turns=("```python\nprint(6 * 7)\n```\n", "42\n", "so it is \\boxed{42}"),
        tool_calls=(call,), finish="eos", prompt_tokens=9, drawn_tokens=9,
    )  # fmt: skip
    with stores["gsm8k"] as store:
        store.add([record.model_copy(update={"item": q.item.id}) for q in assignments[0].questions])
    conclude(judge(assignments, stores), Subject("scripted", "", "digest"), settings, rollout, 0, 0.0, tmp_path)
    return tmp_path / "logs"


@pytest.fixture
def viewer(logs: Path) -> Iterator[str]:
    """Address of a running `inspect view` over the logs."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [Path(sys.executable).with_name("inspect"), "view", "start", "--log-dir", logs, "--port", str(port)]
    address = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _await(address, server)
            yield address
        finally:
            server.terminate()


def _await(address: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urlopen(address, timeout=5).close()
            return
        except URLError:
            time.sleep(0.2)
    raise AssertionError("inspect view did not start")


@pytest.mark.slow
def test_inspect_view_opens_the_logs_with_turns_calls_and_verdicts(viewer: str, logs: Path) -> None:
    with urlopen(viewer, timeout=30) as page:
        assert b"<html" in page.read()
    with urlopen(f"{viewer}/api/logs", timeout=30) as listing:
        [file] = json.load(listing)["files"]
    assert file["task"] == "gsm8k"
    with urlopen(f"{viewer}/api/logs/{quote(file['name'], safe='')}", timeout=30) as log:
        read = json.load(log)
    assert read["status"] == "success"
    assert len(read["samples"]) == 6
    sample = read["samples"][0]
    assert [event["event"] for event in sample["events"]] == ["model", "tool", "model"]
    assert sample["events"][1]["result"] == "42\n"
    assert sample["scores"]["rule"]["answer"] == "42"
