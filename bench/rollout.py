"""What tool calls cost the rollout engine with vLLM in process, next to raw generation and to the official pattern.

All on one engine in one run, with a random model of 0.2M parameters and a tool that sleeps 50 ms:
- raw: every sequence in one turn, as many at once as trajectories below;
- multi-turn: the same number of tokens over three turns with two tool calls between them;
- official: question after question, 10 samples at once, all wait for the slowest, their programs run one by one;
  without log-probabilities, which that code does not ask for and the two others get.
Then memory over 200 generation batches, with the transformers backend and with vLLM. Needs vLLM (make bench-vllm).
Tokens are those that the model drew. A random model calls no tool, so each turn is cut after a number of tokens and its
last ones are replaced by a program; everything else is the real engine. Leaves out the sandbox (bench/sandbox.py).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import torch

from agent0.config import RolloutSettings, SamplingSettings, TinyPretraining, VllmSettings
from agent0.protocol import observation_text
from agent0.rollout import Backend, Generation, Request, RolloutEngine, TokenBudget
from agent0.rollout.drawing_watch import Watch
from agent0.rollout.engine import Session
from agent0.rollout.model_folders import save_model
from agent0.rollout.transformers_backend import TransformersBackend
from agent0.rollout.vllm_backend import DrawArguments, VllmBackend, open_llm
from agent0.sandbox import RunResult

TOOL_SECONDS = 0.05
OUTPUT = "42\n"
PROGRAM = "\n```python\nx\n```\n"
TURNS = 3
OFFICIAL_SAMPLES = 10
PROMPT_TOKENS = 24
FREE = SamplingSettings()


@dataclass(frozen=True)
class Row:
    """One line of the table: what was measured, the bar, and whether it is met."""

    name: str
    measured: str
    bar: str = ""
    met: bool = True


class SleepingTool:
    """Stands in for the sandbox: every program takes `TOOL_SECONDS`."""

    async def arun(self, source: str) -> RunResult:
        """Run one program."""
        await asyncio.sleep(TOOL_SECONDS)
        return RunResult(
            status="ok",
            stdout=OUTPUT,
            stderr="",
            exit_code=0,
            wall_seconds=TOOL_SECONDS,
            cpu_seconds=0.0,
            peak_memory_mb=0.0,
        )


class EndlessEngine:
    """A vLLM engine whose sequences do not end by themselves, so that every measurement draws the same number."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.step = engine.step
        self.abort_request = engine.abort_request
        self.output_processor = engine.output_processor

    def add_request(self, name: str, prompt: Any, params: Any) -> None:
        """Add a request that ignores the end token."""
        params.ignore_eos = True
        self._engine.add_request(name, prompt, params)


class CallingBackend:
    """Makes a backend's trajectories call the tool: a turn with room for more is cut after `turn` tokens."""

    def __init__(self, inner: Backend, turn: int, program: list[int]) -> None:
        self._inner = inner
        self._turn = turn
        self._program = program
        self.concurrency = inner.concurrency

    @asynccontextmanager
    async def session(self, trajectories: int, watch: Watch) -> AsyncIterator[CallingSession]:
        """See `agent0.rollout.engine.Backend`."""
        async with self._inner.session(trajectories, watch) as session:
            yield CallingSession(session, self._turn, self._program)


@dataclass(frozen=True)
class CallingSession:
    """See `CallingBackend`."""

    inner: Session
    turn: int
    program: list[int]

    async def generate(self, request: Request) -> Generation:
        """Draw one turn."""
        drawn = await self.inner.generate(replace(request, stop=None, max_tokens=min(self.turn, request.max_tokens)))
        if request.max_tokens <= self.turn:
            return drawn
        return Generation([*drawn.token_ids[: -len(self.program)], *self.program], "stop", drawn.logprobs)

    def retire(self) -> None:
        """Pass on that a trajectory has ended."""
        self.inner.retire()


def say(text: str) -> None:
    """Show progress apart from the table."""
    print(f"  {text}", file=sys.stderr, flush=True)


def new_model() -> tuple[Any, Any]:
    """A random model with heads of 32, the smallest that vLLM's attention on CPUs takes, and a tokenizer."""
    from agent0.tiny.pretrain import _new_model
    from agent0.tiny.tokenizer import train_tokenizer

    torch.manual_seed(0)
    tokenizer = train_tokenizer([f"solve What is {a}+{b}?{PROGRAM}" for a in range(40) for b in range(40)], 420)
    return _new_model(TinyPretraining(hidden_size=96, layers=2, heads=3), tokenizer).eval(), tokenizer


def new_prompts(count: int) -> list[list[int]]:
    """Prompts that share no prefix, so that none is spared its prefill; of byte tokens, which every tokenizer has."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(3, 250, (count, PROMPT_TOKENS), generator=generator).tolist()


class Bench:
    """One engine, and the three ways to use it."""

    def __init__(self, llm: Any, tokenizer: Any, concurrency: int, turn: int) -> None:
        self._llm = llm
        self._tokenizer = tokenizer
        self._turn = turn
        self._program = tokenizer(PROGRAM, add_special_tokens=False).input_ids
        observed = len(tokenizer(observation_text(PROGRAM, OUTPUT), add_special_tokens=False).input_ids)
        self._response = TURNS * turn + (TURNS - 1) * observed
        endless = SimpleNamespace(llm_engine=EndlessEngine(llm.llm_engine))
        self.backend = VllmBackend(endless, FREE, [], concurrency)

    def raw(self, prompts: Sequence[list[int]]) -> float:
        """Tokens per second of single turns."""
        return self._rate(self.backend, prompts, TokenBudget(PROMPT_TOKENS, TURNS * self._turn, 64, 0))

    def multi_turn(self, prompts: Sequence[list[int]]) -> float:
        """Tokens per second of trajectories with two tool calls."""
        backend = CallingBackend(self.backend, self._turn, self._program)
        return self._rate(backend, prompts, TokenBudget(PROMPT_TOKENS, self._response, 64, TURNS - 1))

    def official(self, prompts: Sequence[list[int]]) -> float:
        """Tokens per second of the official pattern, one question after the other."""
        begun = time.perf_counter()
        drawn = sum(self._question(prompt) for prompt in prompts)
        return drawn / (time.perf_counter() - begun)

    def _question(self, prompt: list[int]) -> int:
        from vllm import SamplingParams

        observation = self._tokenizer(observation_text(PROGRAM, OUTPUT), add_special_tokens=False).input_ids
        histories = [list(prompt) for _ in range(OFFICIAL_SAMPLES)]
        drawn = 0
        for turn in range(TURNS):
            requests = [Request(history, self._turn, None, seed) for seed, history in enumerate(histories)]
            params = [
                SamplingParams(ignore_eos=True, **{**DrawArguments(FREE, [], True).of(request), "logprobs": None})
                for request in requests
            ]
            outputs = self._llm.generate([{"prompt_token_ids": h} for h in histories], params, use_tqdm=False)
            for history, output in zip(histories, outputs, strict=True):
                drawn += len(output.outputs[0].token_ids)
                history += output.outputs[0].token_ids
                if turn < TURNS - 1:
                    time.sleep(TOOL_SECONDS)
                    history += observation
        return drawn

    def _rate(self, backend: Backend, prompts: Sequence[list[int]], budget: TokenBudget) -> float:
        engine = RolloutEngine(self._tokenizer, backend, SleepingTool(), budget)
        begun = time.perf_counter()
        trajectories = engine.run(prompts, 0)
        seconds = time.perf_counter() - begun
        drawn = sum(sum(t.mask) for t in trajectories)
        expected = len(prompts) * TURNS * self._turn
        if drawn != expected:
            raise SystemExit(f"The engine drew {drawn} tokens, not the {expected} that the comparison rests on.")
        return drawn / seconds


def throughput(bench: Bench, prompts: list[list[int]], questions: int, rounds: int) -> list[Row]:
    """The three ways in turns, so that a busy moment hits all; the medians of the rounds."""
    say("warming up")
    bench.raw(prompts[: len(prompts) // 3])
    rates: dict[str, list[float]] = {"raw": [], "multi_turn": [], "official": []}
    for number in range(rounds):
        for way, asked in (("raw", prompts), ("multi_turn", prompts), ("official", prompts[:questions])):
            rates[way].append(getattr(bench, way)(asked))
            say(f"round {number + 1} of {rounds}: {way} {rates[way][-1]:,.0f} tokens/s")
    of_raw, of_official = (
        statistics.median(ours / theirs for ours, theirs in zip(rates["multi_turn"], rates[way], strict=True))
        for way in ("raw", "official")
    )
    return [
        Row("raw single turns", f"{statistics.median(rates['raw']):,.0f} tokens/s"),
        Row("three turns, 50 ms tool", f"{statistics.median(rates['multi_turn']):,.0f} tokens/s"),
        Row("official pattern", f"{statistics.median(rates['official']):,.0f} tokens/s"),
        Row("three turns / raw", f"{of_raw:.2f}", ">= 0.85", of_raw >= 0.85),
        Row("three turns / official pattern", f"{of_official:.1f} x", ">= 8 x", of_official >= 8),
    ]


def memory(name: str, backend: Backend, tokenizer: Any, batches: int) -> Row:
    """Growth of this process's memory over generation batches, after a quarter as many for warming up."""
    process = psutil.Process()
    engine = RolloutEngine(tokenizer, backend, SleepingTool(), TokenBudget(PROMPT_TOKENS, 48, 16, 2))
    before = 0
    for number in range(batches + batches // 4):
        engine.run(new_prompts(16), number)
        if number == batches // 4:
            gc.collect()
            before = process.memory_info().rss
        if number % 50 == 49:
            say(f"{name}: batch {number + 1}, {process.memory_info().rss / 2**20:.0f} MiB")
    gc.collect()
    growth = process.memory_info().rss / before - 1
    measured = f"{growth:+.1%} of {before / 2**20:.0f} MiB"
    return Row(f"memory over {batches} batches, {name}", measured, "<= 2 %", growth <= 0.02)


def main() -> None:
    """Measure, print, and judge where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar is missed")
    parser.add_argument("--concurrency", type=int, default=256, help="trajectories at once (default: 256)")
    parser.add_argument("--turn", type=int, default=40, help="tokens of one turn (default: 40)")
    parser.add_argument("--rounds", type=int, default=3, help="repetitions; the median counts (default: 3)")
    parser.add_argument("--questions", type=int, default=4, help="questions of the official pattern (default: 4)")
    parser.add_argument("--batches", type=int, default=200, help="generation batches of the memory part (default: 200)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rollout = RolloutSettings(
        max_prompt_tokens=PROMPT_TOKENS,
        max_response_tokens=TURNS * (options.turn + 24),
        concurrency=options.concurrency,
        vllm=VllmSettings(dtype="float32", max_sequences=options.concurrency, enforce_eager=True),
    )
    model, tokenizer = new_model()
    with tempfile.TemporaryDirectory() as folder:
        save_model(model, tokenizer, Path(folder))
        say("starting vLLM (20 s and more)")
        with open_llm(Path(folder), rollout) as llm:
            bench = Bench(llm, tokenizer, options.concurrency, options.turn)
            prompts = new_prompts(3 * options.concurrency)
            rows = throughput(bench, prompts, options.questions, options.rounds)
            rows.append(memory("vLLM in process", VllmBackend(llm, FREE, [], 16), tokenizer, options.batches))
        rows.append(
            memory(
                "transformers",
                TransformersBackend(model, tokenizer, FREE, [tokenizer.eos_token_id], 16, 64),
                tokenizer,
                options.batches,
            )
        )
    for row in rows:
        print(f"{row.name:44}{row.measured:>22}  {row.bar:10}{'' if not row.bar else 'met' if row.met else 'MISSED'}")
    if options.check and not all(row.met for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
