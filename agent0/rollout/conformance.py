"""Whether a rollout backend does what trajectories, votes and training take for granted; for authors of one.

The backend draws with a small model, and the same model is read with `transformers` beside it: what was drawn must be
what that model says. Leaves out speed, memory, and what a backend does when its server goes away.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from agent0.config import RolloutSettings, SamplingSettings
from agent0.findings import Finding
from agent0.rollout.backends import open_backend
from agent0.rollout.engine import Backend, Generation, Request
from agent0.rollout.model_folders import load_model
from agent0.rollout.tokens import check_model_tokens

TEXTS = ("solve What is 12*34?", "1+1=", "One, two, three,", "print(")
LIMITS = (24, 1, 12, 32)
SAME, SAME_LIMIT = 24, 24
"""Trajectories of one prompt that are drawn with different seeds, and their tokens."""
BEHIND = 0.5
"""Nats that a greedy token may be less likely than the likeliest, which rounding in bfloat16 makes."""
APART = 0.1
"""Nats between the backend's log-probabilities and the model's, on average."""
SIGMAS = 5.0
"""Standard errors between how likely the drawn tokens are and how likely drawn tokens are on average."""


@dataclass
class _Counted:
    """A watch that counts."""

    tokens: int = 0

    def drew(self, tokens: int) -> None:
        """See `Watch`."""
        self.tokens += tokens

    def finished(self) -> None:
        """See `Watch`."""

    def warn(self, message: str) -> None:
        """See `Watch`."""


@dataclass(frozen=True)
class _Drawn:
    """What a backend drew for requests, and how many tokens it told the watch of."""

    requests: Sequence[Request]
    generations: Sequence[Generation]
    told: int


@dataclass(frozen=True)
class _Reference:
    """The model itself, in float32."""

    model: Any
    end_ids: frozenset[int]

    def read(self, request: Request, generation: Generation) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the log-probabilities of what was drawn, shape (drawn,), and of all tokens, (drawn, vocabulary)."""
        drawn = generation.token_ids
        ids = torch.tensor([[*request.prompt, *drawn]], device=self.model.device)
        with torch.no_grad():
            logits = self.model(ids).logits[0, len(request.prompt) - 1 : -1]
        table = logits.float().log_softmax(dim=-1).cpu()
        return table.gather(1, torch.tensor(drawn)[:, None])[:, 0], table


def check_backend(name: str, model: Path, log: Path, gpus: Sequence[int] | None = None) -> list[Finding]:
    """Return what was looked at and how it is; what fails would spoil an evolution, quietly or not.

    Args:
        name: the backend's entry point, or package.module:NAME.
        model: folder of a saved causal language model, a small one.
        log: folder for what servers print.
        gpus: see `open_backend`.

    Raises:
        UsageError: there is no such backend, or it does not fit the model.
        Agent0Error: it fails.
    """
    reference_model, tokenizer = load_model(model, "float32")
    rollout = RolloutSettings(backend=name, max_prompt_tokens=64, max_response_tokens=64, max_observation_tokens=32)
    reference = _Reference(reference_model.eval(), frozenset(check_model_tokens(model, tokenizer, rollout)))
    opened = partial(open_backend, model, tokenizer, rollout, log=log, seed=0, gpus=gpus)
    prompts = [tokenizer(text, add_special_tokens=False).input_ids for text in TEXTS]
    asked = [Request(prompt, limit, None, seed=limit) for prompt, limit in zip(prompts, LIMITS, strict=True)]
    with opened(SamplingSettings(temperature=0.0)) as backend:
        greedy = _draw(backend, asked)
        stop = _stop_text(greedy, tokenizer)
        stopped = _draw(backend, [replace(request, stop=stop) for request in asked]) if stop else None
    with opened(SamplingSettings(temperature=1.0)) as backend:
        same = _draw(backend, [Request(prompts[0], SAME_LIMIT, None, seed) for seed in range(SAME)])
    return list(_findings(reference, tokenizer, greedy, same, stop, stopped))


def _findings(
    reference: _Reference, tokenizer: Any, greedy: _Drawn, same: _Drawn, stop: str, stopped: _Drawn | None
) -> Iterator[Finding]:
    both = (greedy, same)
    yield _finding("amount", "1 to max_tokens tokens a turn", *(_amount(drawn) for drawn in both))
    yield _finding("end", "finish says how a turn ended", *(_end(drawn, reference.end_ids) for drawn in both))
    yield _finding("told", "the watch hears of every token", *(_told(drawn) for drawn in both))
    yield _finding("greedy", "temperature 0 takes the likeliest token", _greedy(greedy, reference))
    yield _finding("sampling", "temperature 1 draws as the model says", _sampling(same, reference))
    yield _finding("seeds", "another seed draws another turn", _seeds(same))
    yield _finding("log-probabilities", "the model's own, or none", *(_logprobs(drawn, reference) for drawn in both))
    if stopped is not None:
        yield _finding("stop", "a turn ends with the stop text", _stop(stopped, greedy, stop, tokenizer))


def _finding(check: str, asked: str, *problems: str) -> Finding:
    problem = next(filter(None, problems), "")
    return Finding(check, "fail" if problem else "ok", problem or asked, asked if problem else "")


def _draw(backend: Backend, requests: Sequence[Request]) -> _Drawn:
    """Draw as the engine does: as many at once as the backend serves."""
    watch = _Counted()

    async def draw() -> list[Generation]:
        at_once = asyncio.Semaphore(backend.concurrency or len(requests))
        async with backend.session(backend.concurrency or len(requests), watch) as session:

            async def one(request: Request) -> Generation:
                async with at_once:
                    generation = await session.generate(request)
                session.retire()
                return generation

            return list(await asyncio.gather(*map(one, requests)))

    return _Drawn(requests, asyncio.run(draw()), watch.tokens)


def _amount(drawn: _Drawn) -> str:
    for request, generation in zip(drawn.requests, drawn.generations, strict=True):
        if not 1 <= len(generation.token_ids) <= request.max_tokens:
            return f"{len(generation.token_ids)} tokens where max_tokens was {request.max_tokens}"
    return ""


def _end(drawn: _Drawn, end_ids: frozenset[int]) -> str:
    for request, generation in zip(drawn.requests, drawn.generations, strict=True):
        *before, last = generation.token_ids
        if end_ids & set(before):
            return "tokens behind one that ends a turn"
        expected = "eos" if last in end_ids else "length"
        if generation.finish != expected:
            ends = "ends" if last in end_ids else "does not end"
            return f"finish {generation.finish!r} where the last token {ends} a turn"
        if expected == "length" and len(generation.token_ids) < request.max_tokens:
            return f"finish 'length' after {len(generation.token_ids)} of {request.max_tokens} tokens"
    return ""


def _told(drawn: _Drawn) -> str:
    tokens = sum(len(generation.token_ids) for generation in drawn.generations)
    return "" if drawn.told == tokens else f"told of {drawn.told} of {tokens} tokens"


def _greedy(drawn: _Drawn, reference: _Reference) -> str:
    for request, generation in zip(drawn.requests, drawn.generations, strict=True):
        own, table = reference.read(request, generation)
        behind = float((table.max(dim=1).values - own).max())
        if behind > BEHIND:
            return f"a token {behind:.1f} nats behind the likeliest"
    return ""


def _sampling(drawn: _Drawn, reference: _Reference) -> str:
    """Compare how surprising the tokens are with how surprising tokens are on average, place by place."""
    surplus: list[float] = []
    for request, generation in zip(drawn.requests, drawn.generations, strict=True):
        own, table = reference.read(request, generation)
        surplus += (-own + (table.exp() * table).nansum(dim=1)).tolist()
    values = torch.tensor(surplus)
    error = float(values.std()) / math.sqrt(len(values))
    sigmas = float(values.mean()) / max(error, 1e-9)
    if abs(sigmas) <= SIGMAS:
        return ""
    return f"tokens {abs(float(values.mean())):.2f} nats too {'rare' if sigmas > 0 else 'likely'} on average"


def _seeds(drawn: _Drawn) -> str:
    different = len({tuple(generation.token_ids) for generation in drawn.generations})
    return "" if different > 1 else f"{len(drawn.generations)} seeds drew one and the same turn"


def _logprobs(drawn: _Drawn, reference: _Reference) -> str:
    for request, generation in zip(drawn.requests, drawn.generations, strict=True):
        if generation.logprobs is None:
            continue
        if len(generation.logprobs) != len(generation.token_ids):
            return f"{len(generation.logprobs)} log-probabilities of {len(generation.token_ids)} tokens"
        own, _ = reference.read(request, generation)
        apart = float((own - torch.tensor(generation.logprobs)).abs().mean())
        if not apart <= APART:
            return f"{apart:.2f} nats from the model's on average"
    return ""


def _stop_text(greedy: _Drawn, tokenizer: Any) -> str:
    """Return a text that the backend draws of itself within a turn; empty where it draws none that stands alone."""
    for generation in greedy.generations:
        for token in generation.token_ids[1:-1]:
            text = str(tokenizer.decode([token]))
            if text.isascii() and text.strip() and text in tokenizer.decode(generation.token_ids):
                return text
    return ""


def _stop(stopped: _Drawn, greedy: _Drawn, stop: str, tokenizer: Any) -> str:
    ended = 0
    for free, generation in zip(greedy.generations, stopped.generations, strict=True):
        text = tokenizer.decode(generation.token_ids)
        if generation.finish == "stop":
            ended += 1
            if stop not in text or stop in tokenizer.decode(generation.token_ids[:-1]):
                return f"finish 'stop' with {text!r:.60}, where stop was {stop!r}"
        elif stop in text:
            return f"finish {generation.finish!r} although {stop!r} was drawn"
        if generation.token_ids != free.token_ids[: len(generation.token_ids)]:
            return "other tokens than without a stop text"
    return "" if ended else f"no turn ended at {stop!r}, which was drawn without it"
