"""What a token costs the transformers backend, the longer a row grows, next to reading every row anew at each interval.

A Llama of 15 million random weights draws rows that cannot end before they are as long as asked for:
- CPU time of a token, reading the prompt included, for rows of 100 to 2,000 drawn tokens;
- the same where nothing is kept between intervals: prompt and all that was drawn so far are read anew, and the stop
  check is made anew. At 1,000 tokens a row, what the kept cache saves is held against a bar.
Both ways take turns in one process with one thread, and the best of some rounds counts; a busy machine changes little.
Leaves out rows that leave the batch and tool calls: tests look into those.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from transformers import LlamaConfig, LlamaForCausalLM

from agent0.config import RolloutSettings, SamplingSettings, TinyPretraining
from agent0.protocol import STOP
from agent0.rollout import Generation, Request
from agent0.rollout.tokens import end_token_ids
from agent0.rollout.transformers_backend import TransformersBackend
from agent0.rollout.watch import Watch
from agent0.tiny.tokenizer import train_tokenizer

ROWS, PROMPT_TOKENS = 8, 300
LENGTHS = (100, 250, 500, 1000, 2000)
COMPARED = (100, 500, 1000)
INTERVAL = int(RolloutSettings.model_fields["compaction_interval"].default)
FLAT, FASTER = 1.5, 5.0
ROUNDS = 2


class ReadingAnew(TransformersBackend):
    """Keeps nothing between intervals."""

    def _batch(self, model: Any, requests: list[Request], watch: Watch) -> list[Generation]:
        drawn: list[list[int]] = [[] for _ in requests]
        while left := requests[0].max_tokens - len(drawn[0]):
            self._stops.clear()
            segment = [
                Request(request.prompt + tokens, min(left, INTERVAL), request.stop, request.seed)
                for request, tokens in zip(requests, drawn, strict=True)
            ]
            for tokens, generation in zip(drawn, super()._batch(model, segment, watch), strict=True):
                tokens += generation.token_ids
        return [Generation(tokens, "length") for tokens in drawn]


def endless_model(tokenizer: Any) -> LlamaForCausalLM:
    """Return a model whose end tokens are never drawn."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=512,
        intermediate_size=2048,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=1,
        max_position_embeddings=4096,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = LlamaForCausalLM(config).eval()
    output = torch.nn.Linear(config.hidden_size, config.vocab_size)
    output.weight = model.lm_head.weight
    output.bias.data.zero_()
    output.bias.data[end_token_ids(tokenizer, config.eos_token_id)] = -1e9
    model.lm_head = output
    return model


def seconds_per_token(backend: TransformersBackend, length: int) -> float:
    """Return the CPU seconds of one token of one row."""
    requests = [Request([5 + (i + row) % 200 for i in range(PROMPT_TOKENS)], length, STOP, row) for row in range(ROWS)]
    begin = time.process_time()
    drawn = backend.generate(requests)
    seconds = time.process_time() - begin
    assert all(len(generation.token_ids) == length for generation in drawn)
    return seconds / (ROWS * length)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar is missed")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = train_tokenizer(TinyPretraining().vocabulary)
    model = endless_model(tokenizer)
    kept, anew = (
        kind(model, tokenizer, SamplingSettings(), ROWS, INTERVAL) for kind in (TransformersBackend, ReadingAnew)
    )
    seconds_per_token(kept, 4)
    cached, read = dict.fromkeys(LENGTHS, float("inf")), dict.fromkeys(COMPARED, float("inf"))
    for _ in range(ROUNDS):
        for length in LENGTHS:
            cached[length] = min(cached[length], seconds_per_token(kept, length))
            if length in read:
                read[length] = min(read[length], seconds_per_token(anew, length))

    console = Console(width=100)
    table = Table("drawn tokens a row", "ms a token", "reading anew, ms", "ratio")
    for length in LENGTHS:
        compared = (
            (f"{1000 * read[length]:.2f}", f"{read[length] / cached[length]:.1f}") if length in read else ("", "")
        )
        table.add_row(f"{length:,}", f"{1000 * cached[length]:.2f}", *compared)
    console.print(f"{ROWS} rows, prompts of {PROMPT_TOKENS} tokens, interval {INTERVAL}, one thread")
    console.print(table)
    growth, gain = cached[LENGTHS[-1]] / cached[LENGTHS[0]], read[1000] / cached[1000]
    bars = {
        f"a token of 2,000 costs at most {FLAT} x one of 100 (is {growth:.2f})": growth <= FLAT,
        f"{FASTER:.0f} x faster than reading anew at 1,000 tokens (is {gain:.1f})": gain >= FASTER,
    }
    for bar, met in bars.items():
        console.print(f"{'met   ' if met else 'MISSED'}  {bar}", highlight=False)
    if arguments.check and not all(bars.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
