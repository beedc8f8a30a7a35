"""What vLLM draws, in process and as a server, next to the transformers backend on the same weights in float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from agent0.config import SamplingSettings
from agent0.protocol import STOP
from agent0.rollout import Backend, Generation, Request
from agent0.rollout.transformers_backend import TransformersBackend
from agent0.rollout.vllm_backend import VllmBackend

GREEDY, FREE = SamplingSettings(temperature=0.0), SamplingSettings()
Draw = Callable[[Backend, list[Request]], list[Generation]]
Open = Callable[[SamplingSettings], Backend]


def requests(prompts: list[list[int]], limit: int = 60, stop: str | None = STOP, seed: int = 0) -> list[Request]:
    return [Request(prompt, limit, stop, seed + number) for number, prompt in enumerate(prompts)]


def forward_logprobs(model: Any, prompt: list[int], drawn: list[int], temperature: float = 1.0) -> list[float]:
    with torch.no_grad():
        logits = model(torch.tensor([prompt + drawn])).logits[0, len(prompt) - 1 : -1]
    return torch.log_softmax(logits / temperature, -1).gather(1, torch.tensor(drawn).unsqueeze(1)).squeeze(1).tolist()


def test_greedy_turns_equal_those_of_the_transformers_backend(
    backend_with: Open, draw: Draw, trained: Any, end_ids: list[int], prompts: list[list[int]]
) -> None:
    model, tokenizer = trained
    asked = [*requests(prompts, stop=STOP), *requests(prompts, limit=30, stop=None)]
    half = len(prompts)
    reference = TransformersBackend(model, tokenizer, GREEDY, end_ids, 8, 64)
    expected = [*reference.generate(asked[:half]), *reference.generate(asked[half:])]
    drawn = draw(backend_with(GREEDY), asked)
    assert [(d.token_ids, d.finish) for d in drawn] == [(e.token_ids, e.finish) for e in expected]
    assert len({d.finish for d in drawn}) > 1


@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0])
def test_logprobs_are_those_that_a_plain_forward_pass_gives_at_the_temperature(
    backend_with: Open, draw: Draw, trained: Any, prompts: list[list[int]], temperature: float
) -> None:
    asked = requests(prompts)
    for request, drawn in zip(asked, draw(backend_with(SamplingSettings(temperature=temperature)), asked), strict=True):
        expected = forward_logprobs(trained[0], request.prompt, drawn.token_ids, temperature or 1.0)
        assert drawn.logprobs == pytest.approx(expected, abs=1e-4)


def test_a_turn_ends_with_the_stop_string_and_not_before(
    backend_with: Open, draw: Draw, trained: Any, prompts: list[list[int]]
) -> None:
    stopped = [d for d in draw(backend_with(FREE), requests(prompts)) if d.finish == "stop"]
    assert stopped
    for drawn in stopped:
        assert STOP in trained[1].decode(drawn.token_ids)
        assert STOP not in trained[1].decode(drawn.token_ids[:-1])


def test_a_turn_without_a_stop_string_ends_at_an_end_token_or_its_budget(
    backend_with: Open, draw: Draw, end_ids: list[int], prompts: list[list[int]]
) -> None:
    for limit in (1, 9, 96):
        for drawn in draw(backend_with(FREE), requests(prompts, limit, stop=None)):
            assert 1 <= len(drawn.token_ids) <= limit
            assert drawn.finish == ("eos" if drawn.token_ids[-1] in end_ids else "length")
            assert not set(drawn.token_ids[:-1]) & set(end_ids)
            assert drawn.finish == "eos" or len(drawn.token_ids) == limit


def test_a_seed_draws_the_same_turn_in_any_company(backend_with: Open, draw: Draw, prompts: list[list[int]]) -> None:
    together = draw(backend_with(FREE), requests(prompts))
    reversed_order = draw(backend_with(FREE), requests(prompts)[::-1])[::-1]
    assert [d.token_ids for d in together] == [d.token_ids for d in reversed_order]
    other = draw(backend_with(FREE), requests(prompts, seed=1000))
    assert [d.token_ids for d in together] != [d.token_ids for d in other]


def test_top_k_and_top_p_reach_the_engine(backend_with: Open, draw: Draw, prompts: list[list[int]]) -> None:
    greedy = [d.token_ids for d in draw(backend_with(GREEDY), requests(prompts))]
    for almost_greedy in (SamplingSettings(top_k=1), SamplingSettings(top_p=1e-6)):
        assert [d.token_ids for d in draw(backend_with(almost_greedy), requests(prompts))] == greedy


def test_no_time_is_spent_on_the_texts_of_logprobs(
    llm: Any, end_ids: list[int], draw: Draw, prompts: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def decoded(*_: Any) -> Any:
        raise AssertionError("a token was decoded for its log-probability")

    from vllm import SamplingParams

    monkeypatch.setattr("vllm.v1.engine.logprobs.convert_ids_list_to_tokens", decoded)
    drawn = draw(VllmBackend(llm, FREE, end_ids, 64), requests(prompts))
    assert all(d.logprobs is not None and len(d.logprobs) == len(d.token_ids) for d in drawn)
    with pytest.raises(AssertionError, match="was decoded"):  # what the test would miss if vLLM changed
        llm.generate([{"prompt_token_ids": prompts[0]}], SamplingParams(logprobs=0), use_tqdm=False)
