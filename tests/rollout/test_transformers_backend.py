from __future__ import annotations

import asyncio
import copy
import re
from types import MethodType
from typing import Any

import pytest
import torch
from accelerate.utils import convert_outputs_to_fp32
from noted import Noted
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, Gemma3TextConfig, GenerationConfig, Lfm2Config, MambaConfig
from transformers_draws import GREEDY, PROMPTS, backend_of, requests

from agent0.config import SamplingSettings
from agent0.errors import Agent0Error
from agent0.rollout import Generation, Request, RolloutEngine, TokenBudget
from agent0.rollout.prefix_cache import PrefixCache
from agent0.rollout.transformers_backend import TransformersBackend, _cut
from agent0.sandbox import RunResult


def greedy_by_hand(model: Any, prompt: list[int], count: int, end: int) -> list[int]:
    ids = list(prompt)
    for _ in range(count):
        with torch.no_grad():
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
        if ids[-1] == end:
            break
    return ids[len(prompt) :]


def test_greedy_batches_equal_a_loop_over_single_sequences(random_model: Any, tokenizer: Any) -> None:
    backend = backend_of(random_model, tokenizer, batch_size=3)
    limits = [8, 3, 6, 1]
    drawn = backend.generate(requests(PROMPTS, limits, None))
    for prompt, limit, generation in zip(PROMPTS, limits, drawn, strict=True):
        assert generation.token_ids == greedy_by_hand(random_model, prompt, limit, tokenizer.eos_token_id)


def test_drawing_stops_at_the_stop_string(random_model: Any, tokenizer: Any) -> None:
    free = backend_of(random_model, tokenizer).generate(requests(PROMPTS, [12] * 4, None))
    row, stop = next(
        (row, text)
        for row, generation in enumerate(free)
        for at in range(1, len(generation.token_ids))
        if (text := tokenizer.decode(generation.token_ids[at])).isascii() and text.strip()
    )
    stopped = backend_of(random_model, tokenizer).generate(requests(PROMPTS, [12] * 4, stop))[row]
    assert stopped.finish == "stop"
    assert stop in tokenizer.decode(stopped.token_ids)
    assert stop not in tokenizer.decode(stopped.token_ids[:-1])
    assert stopped.token_ids == free[row].token_ids[: len(stopped.token_ids)]


class Reading:
    """Counts the tokens, padding included, that a model reads."""

    def __init__(self, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shapes: list[tuple[int, int]] = []
        body = model.base_model
        forward = body.forward

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.shapes.append(tuple(kwargs["input_ids"].shape))
            return forward(*args, **kwargs)

        monkeypatch.setattr(body, "forward", counted)


def test_a_prompt_that_several_rows_have_is_read_once(
    random_model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [*PROMPTS, *PROMPTS, PROMPTS[2]]
    reading = Reading(random_model, monkeypatch)
    drawn = backend_of(random_model, tokenizer, batch_size=16).generate(requests(prompts, [8] * 9, None))
    assert reading.shapes[:2] == [(4, 4), (9, 1)]
    for prompt, generation in zip(prompts, drawn, strict=True):
        assert generation.token_ids == greedy_by_hand(random_model, prompt, 8, tokenizer.eos_token_id)


@pytest.mark.parametrize("interval", [3, 64])
def test_a_turn_that_goes_on_is_not_read_again(
    random_model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch, interval: int
) -> None:
    prompts = [*PROMPTS, PROMPTS[0], [40, 41, 42, 43]]
    rooms = [5, 2, 7, 4, 5, 1]
    backend, prefixes = backend_of(random_model, tokenizer, interval=interval), PrefixCache()
    # Each row's turn is over after so many tokens, as when a program closes; the last prompt was never seen before.
    ends = [
        Request(prompt, 20, None, 0, lambda ids, room=room: len(ids) >= room)
        for prompt, room in zip(prompts, rooms, strict=True)
    ]
    monkeypatch.setattr("agent0.rollout.turn._MAY_END", re.compile("$"))
    first = backend.generate(ends[:5], prefixes=prefixes)
    longer = [
        request.prompt + generation.token_ids + [30 + place] * (place + 1)
        for place, (request, generation) in enumerate(zip(ends, first, strict=False))
    ]
    longer.append(prompts[5])
    reading = Reading(random_model, monkeypatch)
    second = backend.generate(requests(longer, [6] * 6, None), prefixes=prefixes)
    rows, tokens = reading.shapes[0]
    assert rows == 6
    assert tokens <= 6  # what follows the turns, the longest of which is five tokens, and the last token of a turn
    for prompt, generation in zip(longer, second, strict=True):
        assert generation.token_ids == greedy_by_hand(random_model, prompt, 6, tokenizer.eos_token_id)
    third = Reading(random_model, monkeypatch)
    backend.generate(requests(longer, [6] * 6, None), prefixes=prefixes)
    assert third.shapes[0] == (6, max(map(len, longer)))  # what no turn has used is forgotten


def test_shared_prompts_and_kept_turns_hold_where_only_the_forward_is_under_autocast(
    random_model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = copy.deepcopy(random_model)
    mixed = torch.autocast("cpu", torch.bfloat16)(type(model).forward)
    model.forward = MethodType(convert_outputs_to_fp32(mixed), model)  # as accelerate does for mixed precision
    backend, prefixes = backend_of(model, tokenizer), PrefixCache()
    monkeypatch.setattr("agent0.rollout.turn._MAY_END", re.compile("$"))
    ends = [Request(prompt, 20, None, 0, lambda ids: len(ids) >= 4) for prompt in PROMPTS]
    first = backend.generate(ends, prefixes=prefixes)
    longer = [prompt + generation.token_ids + [30] for prompt, generation in zip(PROMPTS, first, strict=True)]
    shared = requests([longer[0], *longer], [6] * 5, None)
    assert backend.generate(shared, prefixes=prefixes) == backend.generate(shared)


def test_a_seed_gives_the_same_draw_and_another_a_different_one(random_model: Any, tokenizer: Any) -> None:
    backend = backend_of(random_model, tokenizer, SamplingSettings())

    def draw(seed: int) -> list[list[int]]:
        drawn = backend.generate(requests(PROMPTS, [20] * 4, None, seed))
        return [generation.token_ids for generation in drawn]

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


DEFAULTS: dict[str, Any] = {
    "repetition_penalty": 5.0,
    "forced_eos_token_id": 9,
    "suppress_tokens": list(range(5, 300)),
    "bad_words_ids": [[token] for token in range(5, 300)],
    "no_repeat_ngram_size": 1,
    "min_new_tokens": 30,
    "guidance_scale": 3.0,
    "prompt_lookup_num_tokens": 3,
    "stop_strings": ["a"],
    "cache_implementation": "static",
    "num_return_sequences": 2,
    "num_beams": 2,
}


@pytest.mark.parametrize("name", DEFAULTS)
@pytest.mark.parametrize("adapted", [False, True])
def test_sampling_defaults_of_a_models_folder_are_not_used_and_stay_the_models(
    name: str, adapted: bool, random_model: Any, tokenizer: Any
) -> None:
    asked = requests(PROMPTS, [12] * 4, None)
    expected = backend_of(random_model, tokenizer, SamplingSettings(), interval=5).generate(asked)
    model = copy.deepcopy(random_model)
    model.generation_config = GenerationConfig(
        do_sample=True, eos_token_id=tokenizer.eos_token_id, **{name: DEFAULTS[name]}
    )
    holder = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"])) if adapted else model
    assert backend_of(holder, tokenizer, SamplingSettings(), interval=5).generate(asked) == expected
    assert getattr(model.generation_config, name) == DEFAULTS[name]
    assert holder.generation_config is model.generation_config


def test_the_model_is_left_in_the_mode_it_was_in(random_model: Any, tokenizer: Any) -> None:
    backend = backend_of(random_model, tokenizer)
    random_model.train()
    backend.generate(requests([[5]], [2], None))
    assert random_model.training
    random_model.eval()
    backend.generate(requests([[5]], [2], None))
    assert not random_model.training


def test_padding_that_looks_like_an_end_is_not_mistaken_for_one() -> None:
    pad = end = 0
    row = [7, 8, pad, pad, pad]
    assert _cut(row, frozenset({end}), stopped_at=2, limit=5) == ([7, 8], "stop")
    assert _cut(row, frozenset({end}), stopped_at=-1, limit=5) == ([7, 8, 0], "eos")
    assert _cut([7, 8, end], frozenset({end}), stopped_at=-1, limit=3) == ([7, 8, 0], "eos")
    assert _cut([7, 8, end], frozenset({end}), stopped_at=-1, limit=2) == ([7, 8], "length")
    assert _cut([7, 8, 9], frozenset({end}), stopped_at=-1, limit=3) == ([7, 8, 9], "length")
    assert _cut([7, 8, 9], frozenset({end}), stopped_at=-1, limit=4) == ([7, 8, 9], None)


@pytest.mark.parametrize("interval", [1, 2, 5])
def test_segments_draw_what_one_pass_draws(random_model: Any, tokenizer: Any, interval: int) -> None:
    at_once, in_segments = backend_of(random_model, tokenizer), backend_of(random_model, tokenizer, interval=interval)
    free = requests(PROMPTS, [12, 7, 9, 1], None)
    whole = at_once.generate(free)
    assert in_segments.generate(free) == whole
    stopping = requests(PROMPTS, [12, 7, 9, 1], tokenizer.decode(whole[0].token_ids[:2]))
    assert in_segments.generate(stopping) == at_once.generate(stopping)


def test_vocabulary_dropout_masks_other_tokens_in_each_batch_and_never_the_protocols(
    random_model: Any, tokenizer: Any
) -> None:
    backend = backend_of(random_model, tokenizer, SamplingSettings(vocabulary_retention=0.2))
    prompts, limits = [[5, 6]] * 64, [8] * 64
    first = {i for g in backend.generate(requests(prompts, limits, None)) for i in g.token_ids}
    second = {i for g in backend.generate(requests(prompts, limits, None, seed=1000)) for i in g.token_ids}
    every = {
        i
        for g in backend_of(random_model, tokenizer, SamplingSettings()).generate(requests(prompts, limits, None))
        for i in g.token_ids
    }
    assert len(first) < 0.5 * len(every)
    assert first != second
    assert backend._dropout is not None
    assert not backend._dropout.dropped[tokenizer("```python\n<question>").input_ids].any()


def test_a_tokenizer_without_a_pad_token_draws_the_same(random_model: Any, tokenizer: Any) -> None:
    bare = copy.deepcopy(tokenizer)
    bare.pad_token = None
    asked = requests(PROMPTS, [8, 3, 6, 1], None)
    assert backend_of(random_model, bare).generate(asked) == backend_of(random_model, tokenizer).generate(asked)


def test_nothing_is_drawn_for_trajectories_that_end_because_another_failed(random_model: Any, tokenizer: Any) -> None:
    drawn: list[int] = []

    class Counting(TransformersBackend):
        def generate(self, requests: Any, watch: Any = None, prefixes: Any = None) -> Any:
            drawn.append(len(requests))
            stop = tokenizer("```python\nx\n```\n", add_special_tokens=False).input_ids
            return [Generation(stop, "stop") for _ in requests]

    class FailingSecond:
        calls = 0

        async def arun(self, source: str) -> Any:
            self.calls += 1
            if self.calls == 3:
                await asyncio.sleep(0.05)  # the others wait for their turns by then
                raise Agent0Error("the sandbox is gone")
            return RunResult(
                status="ok", stdout="1\n", stderr="", exit_code=0, wall_seconds=0, cpu_seconds=0, peak_memory_mb=0
            )

    budget = TokenBudget(prompt=64, response=200, observation=48, turns=3)
    backend = Counting(random_model, tokenizer, GREEDY, [tokenizer.eos_token_id], 8, 64)
    with pytest.raises(Agent0Error, match="the sandbox is gone"):
        RolloutEngine(tokenizer, backend, FailingSecond(), budget).run(PROMPTS, 0)
    assert drawn == [4]


def test_every_token_is_read_once_however_often_rows_leave(random_model: Any, tokenizer: Any) -> None:
    read: list[int] = []
    hook = random_model.register_forward_pre_hook(
        lambda module, args, kwargs: read.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    limits = [4, 9, 14, 20]
    drawn = backend_of(random_model, tokenizer, interval=5).generate(requests(PROMPTS, limits, None))
    hook.remove()
    assert [len(generation.token_ids) for generation in drawn] == limits
    width, rows_at_each_token = max(map(len, PROMPTS)), [4] * 5 + [3] * 5 + [2] * 5 + [1] * 5
    assert read == [4 * width, *rows_at_each_token[1:]]


def hybrids(vocabulary: int) -> list[Any]:
    shared = {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
    }
    return [
        Gemma3TextConfig(
            **shared, head_dim=8, sliding_window=6, layer_types=["sliding_attention", "full_attention"], eos_token_id=2
        ),
        Lfm2Config(**shared, layer_types=["conv", "full_attention"], eos_token_id=2),
    ]


@pytest.mark.parametrize("kind", [0, 1], ids=["sliding windows", "convolutions"])
def test_rows_leave_caches_of_other_kinds_as_well(kind: int, tokenizer: Any) -> None:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(hybrids(len(tokenizer))[kind]).eval()
    asked = requests(PROMPTS, [30, 7, 19, 2], None)
    assert backend_of(model, tokenizer, interval=4).generate(asked) == backend_of(model, tokenizer).generate(asked)


def test_a_cache_that_rows_cannot_leave_is_an_error_that_says_how_to_do_without(tokenizer: Any) -> None:
    config = MambaConfig(vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, eos_token_id=2)
    model = AutoModelForCausalLM.from_config(config).eval()
    asked = requests(PROMPTS, [12, 12, 12, 3], None)
    with pytest.raises(Agent0Error, match=r"set rollout\.compaction_interval to rollout\.max_response_tokens"):
        backend_of(model, tokenizer, interval=4).generate(asked)
    assert len(backend_of(model, tokenizer, interval=12).generate(asked)) == 4


def test_tokens_are_reported_while_they_are_drawn(random_model: Any, tokenizer: Any) -> None:
    watch = Noted()
    limits = [4, 9, 14, 20]
    backend_of(random_model, tokenizer, interval=5).generate(requests(PROMPTS, limits, None), watch)
    assert watch.tokens == [19, 14, 9, 5]
