from __future__ import annotations

from typing import Any

import torch

from agent0.config import SamplingSettings
from agent0.rollout.transformers_backend import TransformersBackend, _cut

GREEDY = SamplingSettings(temperature=0.0)
PROMPTS = [[5, 6, 7], [9], [11, 12, 13, 14, 15], [20, 21]]


def greedy_by_hand(model: Any, prompt: list[int], count: int, end: int) -> list[int]:
    ids = list(prompt)
    for _ in range(count):
        with torch.no_grad():
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
        if ids[-1] == end:
            break
    return ids[len(prompt) :]


def test_greedy_batches_equal_a_loop_over_single_sequences(random_model: Any, tokenizer: Any) -> None:
    backend = TransformersBackend(random_model, tokenizer, GREEDY, batch_size=3)
    limits = [8, 3, 6, 1]
    drawn = backend.generate(PROMPTS, limits, None)
    for prompt, limit, generation in zip(PROMPTS, limits, drawn, strict=True):
        assert generation.token_ids == greedy_by_hand(random_model, prompt, limit, tokenizer.eos_token_id)


def test_drawing_stops_at_the_stop_string(random_model: Any, tokenizer: Any) -> None:
    free = TransformersBackend(random_model, tokenizer, GREEDY, 8).generate(PROMPTS, [12] * 4, None)
    row, stop = next(
        (row, text)
        for row, generation in enumerate(free)
        for at in range(1, len(generation.token_ids))
        if (text := tokenizer.decode(generation.token_ids[at])).isascii() and text.strip()
    )
    stopped = TransformersBackend(random_model, tokenizer, GREEDY, 8).generate(PROMPTS, [12] * 4, stop)[row]
    assert stopped.finish == "stop"
    assert stop in tokenizer.decode(stopped.token_ids)
    assert stop not in tokenizer.decode(stopped.token_ids[:-1])
    assert stopped.token_ids == free[row].token_ids[: len(stopped.token_ids)]


def test_a_seed_gives_the_same_draw_and_another_a_different_one(random_model: Any, tokenizer: Any) -> None:
    backend = TransformersBackend(random_model, tokenizer, SamplingSettings(), 8)

    def draw(seed: int) -> list[list[int]]:
        torch.manual_seed(seed)
        return [generation.token_ids for generation in backend.generate(PROMPTS, [20] * 4, None)]

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_the_model_is_left_in_the_mode_it_was_in(random_model: Any, tokenizer: Any) -> None:
    backend = TransformersBackend(random_model, tokenizer, GREEDY, 8)
    random_model.train()
    backend.generate([[5]], [2], None)
    assert random_model.training
    random_model.eval()
    backend.generate([[5]], [2], None)
    assert not random_model.training


def test_padding_that_looks_like_an_end_is_not_mistaken_for_one() -> None:
    pad = end = 0
    row = [7, 8, pad, pad, pad]
    assert _cut(row, {end}, stopped_at=2, limit=5).token_ids == [7, 8]
    assert _cut(row, {end}, stopped_at=2, limit=5).finish == "stop"
    assert _cut(row, {end}, stopped_at=-1, limit=5).token_ids == [7, 8, 0]
    assert _cut(row, {end}, stopped_at=-1, limit=5).finish == "eos"
    assert _cut([7, 8, 9], {end}, stopped_at=-1, limit=2).finish == "length"
    assert _cut([7, 8, end], {end}, stopped_at=-1, limit=2).finish == "length"
