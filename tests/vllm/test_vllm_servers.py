"""Servers that a stage starts: their life, their crashes, and what they answer."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest

from agent0.config import RolloutSettings, SamplingSettings, VllmSettings
from agent0.errors import UsageError
from agent0.rollout import RolloutEngine, TokenBudget
from agent0.rollout.vllm_backend import VllmError
from agent0.rollout.vllm_process import serve
from agent0.rollout.vllm_server_backend import VllmServerBackend
from agent0.sandbox import RunResult

RECORDED = Path(__file__).parents[1] / "rollout" / "vllm_completion.json"


class SlowTool:
    """Answers after a while, and counts."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.calls = 0

    async def arun(self, source: str) -> RunResult:
        self.calls += 1
        await asyncio.sleep(self.seconds)
        return RunResult(
            status="ok", stdout="42\n", stderr="", exit_code=0, wall_seconds=0, cpu_seconds=0, peak_memory_mb=0
        )


def server_processes(parent: psutil.Process) -> list[psutil.Process]:
    return [
        process
        for process in parent.children(recursive=True)
        if any("vllm.entrypoints" in word for word in process.cmdline())
        and "agent0.process_guard" not in process.cmdline()
    ]


def with_port(rollout: RolloutSettings, port: int) -> RolloutSettings:
    return rollout.model_copy(update={"vllm": rollout.vllm.model_copy(update={"port": port})})


def shape(value: Any, name: str = "") -> Any:
    """Names and types of an answer, without its values; the likeliest tokens are named by their texts."""
    if isinstance(value, dict):
        return {} if name == "top_logprobs" else {key: shape(item, key) for key, item in value.items()}
    return [shape(value[0], name)] if isinstance(value, list) and value else type(value).__name__


def test_the_recorded_answer_has_the_shape_of_a_real_one(
    endpoints: list[str], model_folder: Path, prompts: list[list[int]], end_ids: list[int]
) -> None:
    backend = VllmServerBackend(endpoints, str(model_folder), SamplingSettings(), end_ids, VllmSettings(), 1)
    from agent0.rollout import Request

    body = backend._body(Request(prompts[0], 4, "```output", 0))
    request = urllib.request.Request(
        f"{endpoints[0]}/v1/completions", data=body, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert shape(json.load(answer)) == shape(json.loads(RECORDED.read_text()))


def test_500_trajectories_with_a_slow_tool_run_at_once(
    endpoints: list[str],
    model_folder: Path,
    trained: Any,
    end_ids: list[int],
    rollout: RolloutSettings,
    prompts: list[list[int]],
) -> None:
    backend = VllmServerBackend(endpoints, str(model_folder), SamplingSettings(), end_ids, rollout.vllm, 500)
    tool = SlowTool(1.0)
    engine = RolloutEngine(trained[1], backend, tool, TokenBudget.from_settings(rollout))
    begun = time.monotonic()
    trajectories = engine.run((prompts * 21)[:500], seed=3)
    seconds = time.monotonic() - begun
    assert len(trajectories) == 500
    assert tool.calls > 250
    assert seconds < tool.calls * tool.seconds / 4
    for trajectory in trajectories:
        assert trajectory.logprobs is not None
        assert len(trajectory.completion_ids) == len(trajectory.mask) == len(trajectory.logprobs)


def test_a_killed_server_is_restarted_and_no_trajectory_is_lost(
    model_folder: Path,
    trained: Any,
    end_ids: list[int],
    rollout: RolloutSettings,
    prompts: list[list[int]],
    tmp_path: Path,
) -> None:
    said: list[str] = []
    others = server_processes(psutil.Process())
    with serve(model_folder, rollout, log=tmp_path, report=said.append) as endpoints:
        own = [process for process in server_processes(psutil.Process()) if process not in others]
        (server,) = [process for process in own if process.parent() not in own]
        family = [server, *server.children(recursive=True)]

        class KillingTool(SlowTool):
            async def arun(self, source: str) -> RunResult:
                if self.calls == 20:
                    server.send_signal(signal.SIGKILL)
                return await super().arun(source)

        backend = VllmServerBackend(
            endpoints, str(model_folder), SamplingSettings(), end_ids, rollout.vllm, 32, lambda: endpoints.lost
        )
        tool = KillingTool(0.05)
        engine = RolloutEngine(trained[1], backend, tool, TokenBudget.from_settings(rollout))
        trajectories = engine.run(prompts * 4, seed=5)
        assert len(trajectories) == 4 * len(prompts)
        assert tool.calls > 40
        assert [sentence for sentence in said if "starting it again" in sentence]
        family += [p for p in server_processes(psutil.Process()) if p not in others]
        port = int(endpoints[0].rsplit(":", 1)[1])
        assert endpoints.lost is None
    assert [process for process in family if process.is_running()] == []
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
    assert (tmp_path / "vllm-server-0.log").stat().st_size > 0


def test_a_port_in_use_is_refused_before_anything_starts(
    model_folder: Path, rollout: RolloutSettings, tmp_path: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(UsageError, match=f"Port {port} .* in use"),
            serve(model_folder, with_port(rollout, port), log=tmp_path),
        ):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_ends_at_once_fails_with_the_end_of_its_log(
    model_folder: Path, rollout: RolloutSettings, tmp_path: Path
) -> None:
    with (
        pytest.raises(VllmError, match="no-such-flag"),
        serve(model_folder, rollout, log=tmp_path, extra_arguments=["--no-such-flag"]),
    ):
        pass


def test_no_server_outlives_a_killed_parent(model_folder: Path, rollout: RolloutSettings, tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from pathlib import Path; from agent0.config import RolloutSettings;"
        "from agent0.rollout.vllm_process import serve\n"
        f"settings = RolloutSettings.model_validate_json({rollout.model_dump_json()!r})\n"
        f"with serve(Path({str(model_folder)!r}), settings, log=Path({str(tmp_path)!r})):\n    pass"
    )
    owner = subprocess.Popen([sys.executable, "-c", code])
    try:
        deadline = time.monotonic() + 120
        while not (servers := server_processes(psutil.Process(owner.pid))) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert servers
        time.sleep(1)
        family = psutil.Process(owner.pid).children(recursive=True)
    finally:
        os.kill(owner.pid, signal.SIGKILL)
        owner.wait()
    _, alive = psutil.wait_procs(family, timeout=30)
    assert alive == []
