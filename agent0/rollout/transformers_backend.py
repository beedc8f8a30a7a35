"""Generation with `transformers`: left-padded batches in this process, on one device or under data parallelism.

A batch is drawn when every live trajectory waits for its turn, so what is drawn together, and with it every token, is
determined by the prompts and seeds alone, as long as the memory holds `batch_size` sequences. Not for models sharded by
FSDP or ZeRO-3, where every rank would have to make the same number of calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Literal

import torch
from transformers import (
    GenerationConfig,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)

from agent0.config import SamplingSettings
from agent0.errors import Agent0Error
from agent0.protocol import PROTOCOL_TEXTS
from agent0.rollout.drawing_watch import NOBODY, Watch
from agent0.rollout.engine import Generation, Request
from agent0.rollout.grouped_attention import attend_in_groups
from agent0.rollout.live_batch import LiveBatch
from agent0.rollout.out_of_memory import is_out_of_memory
from agent0.rollout.prefix_cache import PrefixCache
from agent0.rollout.sampling import DrawOne, samplers
from agent0.rollout.turn import Pieces, TurnWatch
from agent0.rollout.vocabulary_dropout import VocabularyDropout
from agent0.seeds import derive_seed

Segment = tuple[list[int], Literal["eos", "stop", "length"] | None]
"""Tokens of one row, and why it ended, if it did."""


class TransformersBackend:
    """Draws with a causal language model; see `agent0.rollout.engine.Backend`.

    Args:
        model: the model.
        tokenizer: its tokenizer.
        sampling: temperature, top_p and top_k.
        end_ids: tokens that end a turn (`agent0.rollout.tokens.end_token_ids`).
        batch_size: sequences generated at once; longer lists are cut into such batches, shortest prompts first. A batch
            that does not fit in memory is halved, and so are later ones.
        interval: tokens after which rows that have ended leave the batch, and drawn tokens are reported. A batch costs
            as much as its longest row, and few rows are long.
        logprobs: whether each token's log-probability in the distribution that it was drawn from is wanted.
    """

    concurrency: int | None = None

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        sampling: SamplingSettings,
        end_ids: Sequence[int],
        batch_size: int,
        interval: int,
        logprobs: bool = False,
    ) -> None:
        attend_in_groups()
        self._model = model
        self._tokenizer = tokenizer
        self._pieces = Pieces(tokenizer)
        self._sampling = sampling
        self._ends = frozenset(end_ids)
        self._batch_size = batch_size
        self._interval = interval
        self._draw = DrawOne(logprobs)
        self._samplers = samplers(sampling, self._draw)
        self._dropout: VocabularyDropout | None = None

    @asynccontextmanager
    async def session(self, trajectories: int, watch: Watch) -> AsyncIterator[_Session]:
        """See `agent0.rollout.engine.Backend`."""
        prefixes = PrefixCache()
        yield _Session(lambda requests: self.generate(requests, watch, prefixes), trajectories)

    def generate(
        self, requests: Sequence[Request], watch: Watch = NOBODY, prefixes: PrefixCache | None = None
    ) -> list[Generation]:
        """Draw one turn for each request.

        Args:
            requests: what to continue.
            watch: told of tokens as they are drawn.
            prefixes: knows what the last call with it has read, and learns what this one reads.

        Raises:
            Agent0Error: not even one sequence fits in memory, or finished rows cannot leave the model's cache.
        """
        order = sorted(range(len(requests)), key=lambda i: (len(requests[i].prompt), requests[i].seed))
        results: dict[int, Generation] = {}
        model = self._model
        prefixes = prefixes or PrefixCache()
        prefixes.begin_round()
        with torch.no_grad(), _without_defaults(model):
            was_training = model.training
            model.eval()
            self._redraw_vocabulary(model, derive_seed(1, *(request.seed for request in requests)))
            try:
                while len(results) < len(order):
                    rows = order[len(results) : len(results) + self._batch_size]
                    drawn = self._batch_that_fits(model, [requests[i] for i in rows], watch, prefixes)
                    if drawn is None:
                        self._halve(len(rows), watch)
                    else:
                        results.update(zip(rows, drawn, strict=True))
            finally:
                model.train(was_training)
        return [results[i] for i in range(len(requests))]

    def _batch_that_fits(
        self, model: Any, requests: list[Request], watch: Watch, prefixes: PrefixCache
    ) -> list[Generation] | None:
        """Draw a batch; None where the memory does not hold it, even without what is kept of earlier turns."""
        held = prefixes.holds_any
        try:
            return self._batch(model, requests, watch, prefixes)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if len(requests) == 1 and not held:
                length = len(requests[0].prompt) + requests[0].max_tokens
                raise Agent0Error(
                    f"Not even one sequence of up to {length:,} tokens fits in memory beside the model; lower "
                    "rollout.max_response_tokens, set rollout.dtype to bfloat16, or choose a smaller model."
                ) from error
        prefixes.clear()
        return self._batch_that_fits(model, requests, watch, prefixes) if held else None

    def _halve(self, size: int, watch: Watch) -> None:
        self._batch_size = size // 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        watch.warn(
            f"{size} sequences at once do not fit in memory; it goes on with {self._batch_size}. Set "
            f"rollout.batch_size={self._batch_size} to begin with that."
        )

    def _batch(self, model: Any, requests: list[Request], watch: Watch, prefixes: PrefixCache) -> list[Generation]:
        """Draw in segments; rows that have ended leave the batch between segments, and the others keep their cache."""
        self._draw.seed(derive_seed(0, *(request.seed for request in requests)), model.device)
        own = self._tokenizer.pad_token_id
        pad = min(self._ends) if own is None else int(own)  # any would do: padding is masked
        drawn: list[list[int]] = [[] for _ in requests]
        logprobs: list[list[float]] = [[] for _ in requests]
        finish: dict[int, Literal["eos", "stop", "length"]] = {}
        turns = [TurnWatch(self._tokenizer, self._pieces, request) for request in requests]
        active = list(range(len(requests)))
        live = LiveBatch.of([request.prompt for request in requests], pad, model, self._interval, prefixes)
        while True:
            limits = [requests[row].max_tokens - len(drawn[row]) for row in active]
            output, segments = self._segment(model, live, limits, [turns[row] for row in active], pad)
            said = self._draw.taken_logprobs()
            for place, (row, (token_ids, reason)) in enumerate(zip(active, segments, strict=True)):
                drawn[row] += token_ids
                if said is not None:
                    logprobs[row] += said[place][: len(token_ids)]
                if reason is not None:
                    finish[row] = reason
                if reason == "stop":  # another turn may follow
                    live.keep(place, requests[row].prompt + drawn[row], prefixes)
            watch.drew(sum(len(token_ids) for token_ids, _ in segments))
            if len(finish) == len(requests):
                return [
                    Generation(token_ids, finish[row], None if said is None else logprobs[row])
                    for row, token_ids in enumerate(drawn)
                ]
            places = [place for place, row in enumerate(active) if row not in finish]
            live, active = live.after(output, places, model), [active[place] for place in places]

    def _segment(
        self, model: Any, live: LiveBatch, limits: list[int], turns: list[TurnWatch], pad: int
    ) -> tuple[Any, list[Segment]]:
        """Draw up to `interval` tokens of each row; return what `generate` did, and what that is of each row."""
        width = live.ids.shape[1]
        stops = _StopAt(turns, width)
        output = model.generate(
            **live.arguments(),
            generation_config=GenerationConfig(
                max_new_tokens=min(self._interval, max(limits)),
                do_sample=False,  # the samplers leave one token to take
                pad_token_id=pad,
                eos_token_id=sorted(self._ends),
                disable_compile=True,
                use_cache=True,
                return_dict_in_generate=True,
            ),
            stopping_criteria=StoppingCriteriaList([stops]),
            logits_processor=LogitsProcessorList([*([self._dropout] if self._dropout else []), *self._samplers]),
        )
        rows = output.sequences[:, width:].tolist()
        ended = zip(rows, stops.lengths, limits, strict=True)
        return output, [_cut(row, self._ends, at, limit) for row, at, limit in ended]

    def _redraw_vocabulary(self, model: Any, seed: int) -> None:
        """Draw a new mask where vocabulary dropout is on; the protocol's own tokens always stay."""
        if self._sampling.vocabulary_retention == 1.0:
            return
        if self._dropout is None:
            protected = {*self._ends, *_token_ids(self._tokenizer, PROTOCOL_TEXTS)}
            retention = self._sampling.vocabulary_retention
            self._dropout = VocabularyDropout(model.config.vocab_size, retention, protected)
        self._dropout.redraw(seed)


class _Session:
    """Collects one turn of every live trajectory, then draws them all."""

    def __init__(self, draw: Callable[[Sequence[Request]], list[Generation]], trajectories: int) -> None:
        self._draw = draw
        self._live = trajectories
        self._waiting: list[tuple[Request, asyncio.Future[Generation]]] = []

    async def generate(self, request: Request) -> Generation:
        future: asyncio.Future[Generation] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        self._draw_if_complete()
        return await future

    def retire(self) -> None:
        self._live -= 1
        self._draw_if_complete()

    def _draw_if_complete(self) -> None:
        if not self._waiting or len(self._waiting) < self._live:
            return
        waiting, self._waiting = self._waiting, []
        generations = self._draw([request for request, _ in waiting])
        for (_, future), generation in zip(waiting, generations, strict=True):
            future.set_result(generation)


class _StopAt(StoppingCriteria):  # type: ignore[misc]
    """Ends a row where its turn is over and remembers where, since padding may look like an end token."""

    def __init__(self, watches: list[TurnWatch], prompt_width: int) -> None:
        self._watches = watches
        self._prompt_width = prompt_width
        self.lengths = [-1] * len(watches)

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        for row, token in enumerate(input_ids[:, -1].tolist()):
            if self.lengths[row] < 0 and self._watches[row].ended_by(token):
                self.lengths[row] = input_ids.shape[1] - self._prompt_width
        return torch.tensor([length >= 0 for length in self.lengths], device=input_ids.device)


@contextmanager
def _without_defaults(model: Any) -> Iterator[None]:
    """Let `generate` take nothing from the model's folder, which would give every field that it was not told of.

    What a folder holds stays the model's, which is saved with it; an adapter's wrapper may hold it beside the model.
    """
    holders = [module for module in model.modules() if "generation_config" in vars(module)]
    own = [module.generation_config for module in holders]
    for module in holders:
        module.generation_config = GenerationConfig()
    try:
        yield
    finally:
        for module, defaults in zip(holders, own, strict=True):
            module.generation_config = defaults


def _token_ids(tokenizer: Any, texts: Sequence[str]) -> set[int]:
    return {int(i) for text in texts for i in tokenizer(text, add_special_tokens=False).input_ids}


def _cut(row: list[int], ends: frozenset[int], stopped_at: int, limit: int) -> Segment:
    """Cut a padded row where it ended: at an end token, where its turn is over, at its limit, or nowhere yet."""
    beyond = len(row) + 1
    end = next((i + 1 for i, token in enumerate(row) if token in ends), beyond)
    stop = stopped_at if stopped_at > 0 else beyond
    if min(end, stop) <= min(limit, len(row)):
        return (row[:end], "eos") if end <= stop else (row[:stop], "stop")
    return (row[:limit], "length") if len(row) >= limit else (row, None)
