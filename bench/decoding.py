"""What a token costs the transformers backend, the longer a row grows, beside reading every row anew at each interval.

    python bench/decoding.py [--check]

A small Llama with random weights and a vocabulary of real size draws rows that cannot end before they are as long as
asked for. Printed are the CPU seconds of a token behind the first, which reads the prompt, for rows of 100 to 2,000;
and the same for a backend that keeps nothing between intervals: prompt and all that was drawn are read anew, and the
check for the stop text, whose making goes through the whole vocabulary, is made anew. Both run in one process with one
thread, and seconds are those of this process's CPU, so that a busy machine changes little. Leaves out rows that leave
the batch and tool calls, which the tests look into. With --check it exits with 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from tokenizers import Tokenizer, models
from transformers import (
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    StoppingCriteriaList,
    StopStringCriteria,
)

from agent0.config import RolloutSettings, SamplingSettings
from agent0.protocol import STOP
from agent0.rollout import Request
from agent0.rollout.transformers_backend import TransformersBackend

ROWS, PROMPT_TOKENS, VOCABULARY = 8, 300, 50_000
LENGTHS = (100, 500, 1000, 2000)
COMPARED = (100, 1000)
INTERVAL = int(RolloutSettings.model_fields["compaction_interval"].default)
FLAT, FASTER = 1.5, 5.0
END = "<end>"

Draw = Callable[[list[Request]], list[list[int]]]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar is missed")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = large_tokenizer()
    model = endless_model(tokenizer)
    backend = TransformersBackend(model, tokenizer, SamplingSettings(), ROWS, INTERVAL)

    def keeping(requests: list[Request]) -> list[list[int]]:
        return [generation.token_ids for generation in backend.generate(requests)]

    def anew(requests: list[Request]) -> list[list[int]]:
        return reading_anew(model, tokenizer, requests)

    cpu_seconds(keeping, 4)
    kept = {length: seconds_per_token(keeping, length) for length in LENGTHS}
    read = {length: seconds_per_token(anew, length) for length in COMPARED}
    console = Console()
    console.print(f"{ROWS} rows, prompts of {PROMPT_TOKENS} tokens, interval {INTERVAL}, one thread")
    table = Table("drawn tokens a row", "ms a token", "reading anew, ms", "ratio")
    for length in LENGTHS:
        beside = [f"{1000 * read[length]:.2f}", f"{read[length] / kept[length]:.1f}"] if length in read else ["", ""]
        table.add_row(f"{length:,}", f"{1000 * kept[length]:.2f}", *beside)
    console.print(table)
    growth, gain = kept[LENGTHS[-1]] / kept[LENGTHS[0]], read[1000] / kept[1000]
    bars = {
        f"a token of 2,000 costs at most {FLAT} x one of 100 (is {growth:.2f})": growth <= FLAT,
        f"{FASTER:.0f} x faster than reading anew at 1,000 tokens (is {gain:.1f})": gain >= FASTER,
    }
    for bar, met in bars.items():
        console.print(f"{'met   ' if met else 'MISSED'}  {bar}", highlight=False)
    return int(arguments.check and not all(bars.values()))


def large_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer with as many tokens as those of real models.

    transformers' check for the stop text asks for a token that writes it, and for the word after which it lets each
    token be written.
    """
    words = {word: number for number, word in enumerate([END, STOP, "w1", "abcdef"])}
    words |= {f"w{number}": number for number in range(len(words), VOCABULARY)}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="w1")), eos_token=END, pad_token=END
    )


def endless_model(tokenizer: Any) -> LlamaForCausalLM:
    """Return a model that draws neither its end token nor the stop text."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=256,
        intermediate_size=1024,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = LlamaForCausalLM(config).eval()
    model.lm_head = torch.nn.Linear(config.hidden_size, config.vocab_size)
    with torch.no_grad():
        model.lm_head.bias.zero_()
        model.lm_head.bias[tokenizer.convert_tokens_to_ids([END, STOP])] = -1e9
    return model


def reading_anew(model: Any, tokenizer: Any, requests: list[Request]) -> list[list[int]]:
    """Draw in intervals and keep nothing between them."""
    drawn: list[list[int]] = [[] for _ in requests]
    while left := requests[0].max_tokens - len(drawn[0]):
        ids = torch.tensor([request.prompt + tokens for request, tokens in zip(requests, drawn, strict=True)])
        with torch.no_grad():
            output = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                generation_config=GenerationConfig(
                    max_new_tokens=min(left, INTERVAL), do_sample=True, top_k=0, eos_token_id=0, pad_token_id=0
                ),
                stopping_criteria=StoppingCriteriaList([StopStringCriteria(tokenizer, [STOP])]),
            )
        for tokens, row in zip(drawn, output[:, ids.shape[1] :].tolist(), strict=True):
            tokens += row
    return drawn


def seconds_per_token(draw: Draw, length: int) -> float:
    """Return the CPU seconds of one token of one row, without those of the prompt and the first token."""
    return (cpu_seconds(draw, length) - cpu_seconds(draw, 1)) / (ROWS * (length - 1))


def cpu_seconds(draw: Draw, length: int) -> float:
    """Return the CPU seconds of drawing so many tokens in each row."""
    prompts = [[5 + (place + row) % 200 for place in range(PROMPT_TOKENS)] for row in range(ROWS)]
    requests = [Request(prompt, length, STOP, row) for row, prompt in enumerate(prompts)]
    begin = time.process_time()
    drawn = draw(requests)
    seconds = time.process_time() - begin
    assert all(len(tokens) == length for tokens in drawn)
    return seconds


if __name__ == "__main__":
    sys.exit(main())
