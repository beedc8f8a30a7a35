"""Two models in turn in one real engine, within this process as TRL has it.

On a CPU the engine is kept from repacking its weights when it starts (oneDNN), which is what forbids sending it others;
on a GPU it never does. TRL's trainer is played by the few attributes that turns touch.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from agent0.config import CurriculumSettings, RolloutSettings, SamplingSettings
from agent0.errors import Agent0Error
from agent0.protocol import STOP
from agent0.rollout import Backend, Generation, Request
from agent0.rollout.transformers_backend import TransformersBackend
from agent0.rollout.vllm_backend import VllmBackend, open_llm
from agent0.rollout.vllm_environment import applied
from agent0.training import engine_turns
from agent0.training.engine_turns import EngineTurns, FrozenTurnBackend, load_weights

GREEDY = SamplingSettings(temperature=0.0)
SETTINGS = CurriculumSettings(executor_sampling=GREEDY)
Draw = Callable[[Backend, list[Request]], list[Generation]]


@pytest.fixture(scope="module")
def engine(model_folder: Path, rollout: RolloutSettings) -> Iterator[Any]:
    from vllm import _custom_ops

    with pytest.MonkeyPatch.context() as patched, applied({"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}):
        patched.setattr(_custom_ops, "_supports_onednn", False)
        with open_llm(model_folder, rollout) as llm:
            yield llm


@pytest.fixture(scope="module")
def frozen(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """The trained model with other weights, and its folder."""
    model, tokenizer = copy.deepcopy(trained[0]), trained[1]
    torch.manual_seed(5)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    folder = tmp_path_factory.mktemp("frozen")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model, folder


@pytest.fixture
def trainer(engine: Any, model_folder: Path) -> Any:
    load_weights(engine, model_folder)
    generation = SimpleNamespace(llm=engine, enable_sleep_mode=False, _llm_weights_sleeping=False)
    return SimpleNamespace(
        vllm_generation=generation,
        _last_loaded_step=0,
        state=SimpleNamespace(global_step=0),
        accelerator=SimpleNamespace(process_index=0),
    )


def probe(turns: EngineTurns, backend: Backend, prompt: list[int], *, moved: bool = False) -> None:
    asyncio.run(turns.canary.check(backend, prompt, 0, moved))


def greedy(model: Any, tokenizer: Any, ends: list[int], requests: list[Request]) -> list[list[int]]:
    backend = TransformersBackend(model, tokenizer, GREEDY, ends, 64, 64)
    return [drawn.token_ids for drawn in backend.generate(requests)]


def tokens(drawn: list[Generation]) -> list[list[int]]:
    return [generation.token_ids for generation in drawn]


def test_each_model_draws_in_its_turn_as_it_would_alone(
    trainer: Any,
    trained: Any,
    frozen: tuple[Any, Path],
    model_folder: Path,
    rollout: RolloutSettings,
    end_ids: list[int],
    prompts: list[list[int]],
    draw: Draw,
) -> None:
    requests = [Request(prompt, 40, STOP, number) for number, prompt in enumerate(prompts)]
    expected = {
        name: greedy(model, trained[1], end_ids, requests)
        for name, model in (("policy", trained[0]), ("frozen", frozen[0]))
    }
    assert expected["policy"] != expected["frozen"]
    turns = EngineTurns()
    executor = FrozenTurnBackend(turns, frozen[1], SETTINGS, end_ids, rollout)
    for _ in range(2):
        with turns.policy(trainer) as llm:
            policy = VllmBackend(llm, GREEDY, end_ids, 64)
            probe(turns, policy, prompts[0])
            assert tokens(draw(policy, requests)) == expected["policy"]
        assert tokens(draw(executor, requests)) == expected["frozen"]
        load_weights(trainer.vllm_generation.llm, model_folder)  # as TRL does before its next batch


def test_weights_that_do_not_reach_the_engine_stop_the_training(
    trainer: Any,
    frozen: tuple[Any, Path],
    rollout: RolloutSettings,
    end_ids: list[int],
    prompts: list[list[int]],
    draw: Draw,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turns = EngineTurns()
    with turns.policy(trainer) as llm:
        probe(turns, VllmBackend(llm, SETTINGS.sampling, end_ids, 64), prompts[0], moved=True)
    monkeypatch.setattr(engine_turns, "load_weights", lambda llm, folder: None)
    executor = FrozenTurnBackend(turns, frozen[1], SETTINGS, end_ids, rollout)
    with pytest.raises(Agent0Error, match="frozen executor's weights have not reached vLLM"):
        draw(executor, [Request(prompts[0], 4, STOP, 0)])


def test_what_the_engine_has_read_with_other_weights_is_forgotten(
    trainer: Any,
    frozen: tuple[Any, Path],
    model_folder: Path,
    end_ids: list[int],
    prompts: list[list[int]],
    draw: Draw,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    llm = trainer.vllm_generation.llm
    request = [Request(prompts[0] * 6, 8, STOP, 0)]  # longer than a block of the cache
    backend = VllmBackend(llm, GREEDY, end_ids, 64)
    before = draw(backend, request)
    load_weights(llm, frozen[1])
    other = draw(backend, request)
    with monkeypatch.context() as forgetful:
        forgetful.setattr(llm, "reset_prefix_cache", lambda: True)
        load_weights(llm, model_folder)
    assert draw(backend, request)[0].logprobs != before[0].logprobs  # the test would notice
    load_weights(llm, model_folder)
    assert draw(backend, request)[0].logprobs == pytest.approx(before[0].logprobs, abs=1e-5)
    assert other[0].logprobs != before[0].logprobs


def test_turns_without_seeds_draw_by_the_update_and_the_process(
    trainer: Any, end_ids: list[int], prompts: list[list[int]], draw: Draw
) -> None:
    requests = [Request(prompt, 40, STOP, 0) for prompt in prompts]
    turns = EngineTurns(seed=3)

    def drawn(step: int, process: int = 0) -> list[list[int]]:
        trainer.state.global_step, trainer.accelerator.process_index = step, process
        with turns.policy(trainer) as llm:
            return tokens(draw(VllmBackend(llm, SamplingSettings(), end_ids, 64, seeded=False), requests))

    first = drawn(0)
    assert len({tuple(ids) for ids in first}) > 1
    assert drawn(0) == first
    assert first != drawn(2) != drawn(0, process=1) != first
