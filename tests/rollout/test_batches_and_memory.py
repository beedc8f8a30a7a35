"""What the transformers backend does where a batch, or what is kept of earlier turns, does not fit in memory."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
import torch
from noted import Noted
from transformers_draws import PROMPTS, backend_of, requests

from agent0.errors import Agent0Error
from agent0.rollout import Request
from agent0.rollout.prefix_cache import PrefixCache

CUDA = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
CPU = RuntimeError(
    "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"
)


def holding(model: Any, rows: int, error: RuntimeError) -> Any:
    """Return a copy of the model that runs out of memory in the second segment of more than so many rows."""

    def forward(module: Any, args: Any, kwargs: Any) -> None:
        cache = kwargs["past_key_values"]
        if len(kwargs["input_ids"]) > rows and cache.get_seq_length() > 6:
            raise error

    small = copy.deepcopy(model)
    small.register_forward_pre_hook(forward, with_kwargs=True)
    return small


@pytest.mark.parametrize("error", [CUDA, CPU], ids=["GPU", "CPU"])
def test_a_batch_that_does_not_fit_is_halved_for_good_and_loses_nothing(
    random_model: Any, tokenizer: Any, error: RuntimeError
) -> None:
    asked = requests([*PROMPTS, [30, 31, 32, 33], [8], [4, 4]], [12, 7, 9, 8, 12, 11, 10], None)
    expected = backend_of(random_model, tokenizer).generate(asked)
    watch = Noted()
    backend = backend_of(holding(random_model, 2, error), tokenizer, batch_size=7, interval=4)
    assert backend.generate(asked, watch) == expected
    assert [warning.split(" ", 1)[0] for warning in watch.warnings] == ["7", "3"]
    assert "rollout.batch_size=1" in watch.warnings[-1]
    assert backend.generate(asked, watch) == expected
    assert len(watch.warnings) == 2


def test_what_is_kept_of_earlier_turns_gives_way_before_a_batch_is_halved(
    random_model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent0.rollout.turn._MAY_END", re.compile("$"))
    prefixes, watch = PrefixCache(), Noted()
    full: list[bool] = []

    def forward(module: Any, args: Any, kwargs: Any) -> None:
        full.append(prefixes.holds_any)
        if full[-1]:
            raise CPU

    backend = backend_of(random_model, tokenizer)
    first = backend.generate([Request(p, 20, None, 0, lambda ids: len(ids) >= 4) for p in PROMPTS], prefixes=prefixes)
    longer = [prompt + drawn.token_ids + [7] for prompt, drawn in zip(PROMPTS, first, strict=True)]
    asked = requests(longer, [6] * 4, None)
    expected = backend.generate(asked)
    hook = random_model.register_forward_pre_hook(forward, with_kwargs=True)
    try:
        assert backend.generate(asked, watch, prefixes) == expected
    finally:
        hook.remove()
    assert full[:2] == [True, False]
    assert not watch.warnings


def test_what_is_kept_of_a_round_has_a_limit() -> None:
    layers = [(torch.zeros(2, 3, 4), torch.zeros(2, 3, 4))]  # 192 bytes
    prefixes = PrefixCache(limit=400)
    for first in (1, 2, 2, 3):
        prefixes.keep([first, 5, 6], layers)
    prefixes.begin_round()
    assert [prefixes.longest([first, 5, 6, 7])[0] for first in (1, 2, 3)] == [3, 3, 0]
    prefixes.keep([3, 5, 6], layers)
    prefixes.begin_round()
    assert prefixes.longest([3, 5, 6, 7])[0] == 3


def test_one_sequence_that_does_not_fit_is_an_error_and_so_is_any_other_failure(
    random_model: Any, tokenizer: Any
) -> None:
    asked = requests(PROMPTS, [12] * 4, None)
    with pytest.raises(Agent0Error, match="Not even one sequence of up to 13 tokens fits in memory"):
        backend_of(holding(random_model, 0, CPU), tokenizer).generate(asked)
    with pytest.raises(RuntimeError, match="device-side assert"):
        backend_of(holding(random_model, 2, RuntimeError("CUDA error: device-side assert")), tokenizer).generate(asked)
