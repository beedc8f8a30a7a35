"""Two stages that draw, with a scripted model that may be killed, and what of their outputs is compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agent0.config import (
    ConditioningSettings,
    ExecutionSettings,
    GenerationSettings,
    SandboxSettings,
    load_config,
)
from agent0.rollout.engine import Generation, Request
from agent0.rollout.scripted import ScriptedBackend
from agent0.stages import StageResult
from agent0.storage.digest import STAGE_FILE
from agent0.storage.manifest import MANIFEST

TINY = load_config("tiny")
SANDBOX = SandboxSettings(preload=(), memory_mb=256, timeout_seconds=5.0, workers=1)
GENERATION = GenerationSettings(proposals=26, shard_size=4)
FREE = ConditioningSettings()
EXECUTION = ExecutionSettings(samples=4, shard_size=3, probe_tasks=6, probe_samples=2)
SUMS = {"2x1": "{1}+7", "2x2": "{0}+7", "3x2": "{0}+7-2"}
"""What is proposed where a topic is asked for, made of a number of two digits or one; the second where none is."""
QUESTIONS = [f"What is {number}+3?" for number in range(20, 34)]


class Killed(BaseException):
    """The process is gone."""


class SeededBackend(ScriptedBackend):
    """A model that writes by the request's seed, counts what it draws, and may be killed."""

    def __init__(self, tokenizer: Any, concurrency: int | None) -> None:
        super().__init__(tokenizer, str, concurrency)
        self.drawn: list[tuple[str, int]] = []
        self.killed_after: int | None = None

    async def generate(self, request: Request) -> Generation:
        if self.killed_after is not None and len(self.drawn) >= self.killed_after:
            raise Killed
        seed, prompt = request.seed, self._tokenizer.decode(request.prompt)
        self.drawn.append((prompt, seed))
        topic = next((topic for topic in SUMS if f"propose {topic}" in prompt), "2x2")
        asked = SUMS[topic].format(seed % 15 + 10, seed % 9 + 1)
        kinds = (f"<question>What is {asked}?</question>\\boxed{{{seed % 3}}}", "nothing", "<question>?")
        written = f"\\boxed{{{seed % 3}}}" if "solve" in prompt else kinds[max(0, seed % 7 - 4)]
        if "WELL_POSED" in prompt:
            written = ("ILL_POSED", "?", "WELL_POSED")[seed % 3]
        return await ScriptedBackend(self._tokenizer, lambda _: written).generate(request)


def comparable(result: StageResult) -> tuple[dict[str, float], dict[str, dict[str, int]]]:
    """The result without what an attempt says of its own speed and of its own sandbox."""
    own = ("system/", "sandbox/")
    return {k: v for k, v in result.metrics.items() if not k.startswith(own)}, result.counts


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in (STAGE_FILE, MANIFEST))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
