"""What a token costs the transformers backend, the longer a row grows, beside the backend that kept nothing.

    python bench/decoding.py [--check]

A model of SmolLM2-135M's shape with random weights draws rows that cannot end before they are as long as asked for. It
has a fifteenth of that model's layers and of its vocabulary, so that layers, output and draw have their real shares of
a token, and minutes suffice. Beside it draws what the backend once was: the library's own `generate` for each interval,
with its attention, its cache and its draw, which reads prompt and all that was drawn anew, and makes the check for the
stop text, which goes through the whole vocabulary, anew.

Printed are the CPU seconds of a token of rows of so many drawn tokens, without the first, which reads the prompt; and
those of the one interval that ends at 1,024. The bars are on whole rows: how flat the cost is with few rows, as are
left where the longest of a batch are drawn (of 64 rows whose lengths fall off exponentially, with a mean of 512, 8
become longer than 1,024), and the gain with many, which share the reading of the weights. Attention grows with rows and
tokens alike: many long rows are never flat, and few gain less than many.

Both run in one process with one thread, and seconds are those of this process's CPU. Leaves out rows that leave the
batch and tool calls, which the tests look into. With --check it exits with 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from tokenizers import Tokenizer, models
from transformers import (
    AttentionInterface,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    StoppingCriteriaList,
    StopStringCriteria,
)
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from agent0.config import RolloutSettings, SamplingSettings
from agent0.protocol import STOP
from agent0.rollout import Request
from agent0.rollout.drawing_watch import NOBODY
from agent0.rollout.grouped_attention import attend_in_groups
from agent0.rollout.transformers_backend import TransformersBackend

FEW, MANY, PROMPT_TOKENS = 8, 64, 300
LAYERS, VOCABULARY = 2, 3_277  # of 30 and 49,152
INTERVAL = int(RolloutSettings.model_fields["compaction_interval"].default)
SHORT, COMPARED, LONG = INTERVAL, 8 * INTERVAL, 16 * INTERVAL
FLAT, FASTER = 1.5, 5.0
END = "<end>"

Draw = Callable[[int], list[float]]
"""Draws so many tokens in each row, and returns the CPU seconds that had passed at the end of each interval."""


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar is missed")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = large_tokenizer()
    model = endless_model(tokenizer)
    Console().print(f"prompts of {PROMPT_TOKENS} tokens, interval {INTERVAL}, one thread")
    growth, _ = measured(model, tokenizer, FEW, LONG)
    _, gain = measured(model, tokenizer, MANY, COMPARED)
    bars = {
        f"{FEW} rows: a token of {LONG:,} costs at most {FLAT} x one of {SHORT} (is {growth:.2f})": growth <= FLAT,
        f"{MANY} rows: {FASTER:.0f} x faster than reading anew at {COMPARED:,} (is {gain:.1f})": gain >= FASTER,
    }
    for bar, met in bars.items():
        Console().print(f"{'met   ' if met else 'MISSED'}  {bar}", highlight=False)
    return int(arguments.check and not all(bars.values()))


def measured(model: Any, tokenizer: Any, rows: int, longest: int) -> tuple[float, float]:
    """Print a table of so many rows; return a long token's cost by a short one's, and the gain over reading anew."""
    prompts = [[5 + (place + row) % 200 for place in range(PROMPT_TOKENS)] for row in range(rows)]
    backend = TransformersBackend(model, tokenizer, SamplingSettings(), [tokenizer.eos_token_id], rows, INTERVAL)

    def keeping(length: int) -> list[float]:
        clock = Clock()
        requests = [Request(prompt, length, STOP, row) for row, prompt in enumerate(prompts)]
        assert all(len(drawn.token_ids) == length for drawn in backend.generate(requests, clock))
        return clock.passed

    def anew(length: int) -> list[float]:
        return reading_anew(model, tokenizer, prompts, length)

    keeping(4)
    kept, read = seconds_per_token(keeping, rows, longest), seconds_per_token(anew, rows, COMPARED)
    table = Table("drawn tokens a row", "ms a token", "reading anew, ms", "ratio", title=f"{rows} rows")
    for length in sorted({SHORT, 4 * INTERVAL, COMPARED, longest}):
        beside = [f"{1000 * read[length]:.2f}", f"{read[length] / kept[length]:.1f}"] if length in read else ["", ""]
        table.add_row(f"{length:,}", f"{1000 * kept[length]:.2f}", *beside)
    ends = [marginal(costs, COMPARED) for costs in (kept, read)]
    table.add_row(
        f"the last {INTERVAL} of {COMPARED:,}", *(f"{1000 * end:.2f}" for end in ends), f"{ends[1] / ends[0]:.1f}"
    )
    Console().print(table)
    return kept[longest] / kept[SHORT], read[COMPARED] / kept[COMPARED]


class Clock:
    """A watch that takes the CPU time whenever an interval ends."""

    warn, finished = NOBODY.warn, NOBODY.finished

    def __init__(self) -> None:
        self._begin = time.process_time()
        self.passed: list[float] = []

    def drew(self, tokens: int) -> None:
        """Take the time."""
        self.passed.append(time.process_time() - self._begin)


def large_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer with as many tokens as the model.

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
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=LAYERS,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=4096,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = LlamaForCausalLM(config).eval()
    model.lm_head = torch.nn.Linear(config.hidden_size, config.vocab_size)
    with torch.no_grad():
        model.lm_head.bias.zero_()
        model.lm_head.bias[tokenizer.convert_tokens_to_ids([END, STOP])] = -1e9
    return model


def reading_anew(model: Any, tokenizer: Any, prompts: list[list[int]], length: int) -> list[float]:
    """Draw in intervals and keep nothing between them; see `Draw`."""
    clock = Clock()
    rows = prompts
    with torch.no_grad(), library_attention():
        while left := length - len(rows[0]) + PROMPT_TOKENS:
            ids = torch.tensor(rows)
            rows = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                generation_config=GenerationConfig(
                    max_new_tokens=min(left, INTERVAL), do_sample=True, top_k=0, eos_token_id=0, pad_token_id=0
                ),
                stopping_criteria=StoppingCriteriaList([StopStringCriteria(tokenizer, [STOP])]),
            ).tolist()
            clock.drew(INTERVAL)
    return clock.passed


@contextmanager
def library_attention() -> Iterator[None]:
    """Let models attend as transformers lets them."""
    AttentionInterface.register("sdpa", sdpa_attention_forward)
    try:
        yield
    finally:
        attend_in_groups()


def seconds_per_token(draw: Draw, rows: int, length: int) -> dict[int, float]:
    """Return the CPU seconds of one token of a row, without the prompt and the first token, by the row's length."""
    (first,), passed = draw(1), draw(length)
    lengths = range(INTERVAL, length + 1, INTERVAL)
    return {drawn: (at - first) / (rows * (drawn - 1)) for drawn, at in zip(lengths, passed, strict=True)}


def marginal(costs: dict[int, float], length: int) -> float:
    """Return the CPU seconds of one token of the interval that ends at a length."""
    before = length - INTERVAL
    return (costs[length] * (length - 1) - costs[before] * (before - 1)) / INTERVAL


if __name__ == "__main__":
    sys.exit(main())
