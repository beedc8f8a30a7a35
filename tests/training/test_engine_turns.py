"""Turns at one engine, on a stand-in that forgets its weights in its sleep; `tests/vllm` has the real one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from trl import GRPOTrainer

from agent0.errors import Agent0Error
from agent0.training.engine_turns import EngineTurns

POLICY, FROZEN = 1.0, 2.0


class Model(torch.nn.Module):
    """Two weights, loaded as vLLM's models are."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = (torch.nn.Parameter(torch.zeros(2), requires_grad=False) for _ in range(2))

    def load_weights(self, weights: Iterable[tuple[str, torch.Tensor]]) -> set[str]:
        mine, loaded = dict(self.named_parameters()), set()
        for name, weight in weights:
            mine[name].data.copy_(weight)
            loaded.add(name)
        return loaded


class Engine:
    """What turns need of `vllm.LLM`: memory by tags, weights that level 2 discards, a cache of what was read."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.awake = {"weights", "kv_cache"}
        self.cached_with: float | None = None
        self.busy = False

    def wake_up(self, tags: list[str]) -> None:
        self.awake |= set(tags)

    def sleep(self, level: int) -> None:
        assert level == 2
        self.awake.clear()
        self.cached_with = None
        self.model.load_weights((name, torch.full((2,), torch.nan)) for name, _ in self.model.named_parameters())

    def apply_model(self, function: Callable[[Model], Any]) -> list[Any]:
        assert "weights" in self.awake, "weights are loaded into memory that is not there"
        return [function(self.model)]

    def reset_prefix_cache(self) -> bool:
        self.cached_with = None if not self.busy else self.cached_with
        return not self.busy

    def draw(self) -> float:
        """Return what the weights are, all of them, when every part of the engine may draw."""
        assert self.awake == {"weights", "kv_cache"}
        value = self.model.first[0].item()
        assert all((weight == value).all() for weight in self.model.parameters())
        assert self.cached_with in (None, value), "what other weights have read is reused"
        self.cached_with = value
        return value


class StopHereError(Exception):
    """Ends TRL's method where ours begins."""


class Trainer(SimpleNamespace):
    """TRL's trainer as far as its sync of weights goes, which is TRL's own code."""

    def generate(self, turns: EngineTurns) -> float:
        drawn = []

        def rollouts(prompts: Any, trainer: Any) -> None:
            with turns.policy(trainer) as llm:
                drawn.append(llm.draw())
            raise StopHereError

        self.rollout_func = rollouts
        with pytest.raises(StopHereError):
            GRPOTrainer._generate(self, [])
        return drawn[0]


def trainer_of(sleeps: bool) -> Trainer:
    engine = Engine(Model())
    generation = SimpleNamespace(llm=engine, enable_sleep_mode=sleeps, _llm_weights_sleeping=sleeps, syncs=0)
    if sleeps:
        engine.sleep(2)

    def sync_weights() -> None:
        if sleeps:
            engine.wake_up(["weights"])
            generation._llm_weights_sleeping = False
        engine.apply_model(lambda model: model.load_weights(weights(POLICY).items()))
        engine.reset_prefix_cache()
        generation.syncs += 1

    generation.sync_weights = sync_weights
    return Trainer(
        vllm_generation=generation,
        use_vllm=True,
        _last_loaded_step=-1,
        state=SimpleNamespace(global_step=0),
        accelerator=SimpleNamespace(device=torch.device("cpu"), is_main_process=True),
        model=SimpleNamespace(training=True),
        args=SimpleNamespace(report_to=[]),
    )


def weights(value: float) -> dict[str, torch.Tensor]:
    return {name: torch.full((2,), value) for name in ("first", "second")}


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose weights lie in two files, as those of larger models do."""
    folder = tmp_path_factory.mktemp("frozen")
    for name, weight in weights(FROZEN).items():
        save_file({name: weight}, folder / f"model-{name}.safetensors")
    return folder


@settings(max_examples=40)
@given(
    sleeps=st.booleans(),
    turns_taken=st.lists(st.sampled_from(["policy", "policy after an update", "frozen"]), max_size=8),
)
def test_whatever_the_order_of_turns_each_draws_with_its_own_weights(
    frozen: Path, sleeps: bool, turns_taken: list[str]
) -> None:
    trainer, turns = trainer_of(sleeps), EngineTurns()
    for turn in ["policy", *turns_taken]:
        if turn == "frozen":
            with turns.frozen(frozen) as llm:
                assert llm.draw() == FROZEN
        else:
            trainer.state.global_step += turn == "policy after an update"
            assert trainer.generate(turns) == POLICY
        assert bool(trainer.vllm_generation.llm.awake) is not sleeps


def test_weights_are_sent_again_after_a_frozen_turn_only_where_no_update_came_between(frozen: Path) -> None:
    trainer, turns = trainer_of(sleeps=False), EngineTurns()
    for _ in range(2):
        trainer.generate(turns)
    assert trainer.vllm_generation.syncs == 1
    with turns.frozen(frozen):
        pass
    trainer.generate(turns)
    assert trainer.vllm_generation.syncs == 2


def test_a_turn_that_fails_leaves_the_engine_asleep(frozen: Path) -> None:
    trainer, turns = trainer_of(sleeps=True), EngineTurns()
    trainer.generate(turns)
    with pytest.raises(KeyError), turns.frozen(frozen):
        raise KeyError
    assert not trainer.vllm_generation.llm.awake
    assert trainer.generate(turns) == POLICY


def test_a_folder_that_lacks_weights_is_refused(tmp_path: Path) -> None:
    save_file({"first": torch.zeros(2)}, tmp_path / "model.safetensors")
    trainer, turns = trainer_of(sleeps=False), EngineTurns()
    trainer.generate(turns)
    with pytest.raises(Agent0Error, match=r"lacks 1 of the weights .*\(second\).*training.executor_gpus"):
        turns.frozen(tmp_path).__enter__()


def test_an_engine_that_is_still_at_work_cannot_change_hands(frozen: Path) -> None:
    trainer, turns = trainer_of(sleeps=False), EngineTurns()
    trainer.generate(turns)
    trainer.vllm_generation.llm.busy = True
    with pytest.raises(Agent0Error, match="requests are still in its engine"):
        turns.frozen(frozen).__enter__()
