from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from agent0.errors import Agent0Error
from agent0.rollout.drawing_watch import Watch
from agent0.rollout.engine import Generation, Request
from agent0.training.canary import WeightCanary
from agent0.training.policy_rollouts import _has_moved
from agent0.training.useful_tokens import UsefulTokensTrainer
from tests.training.test_useful_tokens import scripted, trainer_of


class Engine:
    """Draws the same tokens with log-probabilities that stand for its weights."""

    concurrency = 1

    def __init__(self) -> None:
        self.weight: float | None = -0.5
        self.requests: list[Request] = []

    @asynccontextmanager
    async def session(self, trajectories: int, watch: Watch) -> AsyncIterator[Engine]:
        yield self

    async def generate(self, request: Request) -> Generation:
        self.requests.append(request)
        return Generation([5, 6], "length", None if self.weight is None else [self.weight, -1.0])

    def retire(self) -> None:
        return None


def check(canary: WeightCanary, engine: Engine, prompt: list[int], step: int, moved: bool) -> None:
    asyncio.run(canary.check(engine, prompt, step, moved))


def test_weights_that_arrive_are_noticed_and_the_question_stays_the_same() -> None:
    canary, engine = WeightCanary(), Engine()
    check(canary, engine, [1, 2], 0, False)
    engine.weight = -0.5000001
    check(canary, engine, [3, 4], 2, True)
    assert engine.requests[0] == engine.requests[1]


def test_weights_that_do_not_arrive_stop_the_training() -> None:
    canary, engine = WeightCanary(), Engine()
    check(canary, engine, [1, 2], 0, False)
    with pytest.raises(Agent0Error, match="after the updates 1 to 2"):
        check(canary, engine, [1, 2], 2, True)


def test_without_an_update_nothing_needs_to_change() -> None:
    canary, engine = WeightCanary(), Engine()
    check(canary, engine, [1, 2], 4, True)  # the first look of a resumed training
    check(canary, engine, [1, 2], 4, True)  # no update in between
    check(canary, engine, [1, 2], 6, False)  # an update without a gradient


def test_an_engine_without_log_probabilities_cannot_be_checked() -> None:
    engine = Engine()
    engine.weight = None
    with pytest.raises(Agent0Error, match="no log-probabilities"):
        check(WeightCanary(), engine, [1], 0, False)


def check_frozen(canary: WeightCanary, engine: Engine) -> None:
    asyncio.run(canary.check_frozen(engine))


def test_turns_of_a_policy_that_begins_as_the_frozen_model_pass() -> None:
    canary, engine = WeightCanary(), Engine()
    check(canary, engine, [1, 2], 0, False)
    check_frozen(canary, engine)
    for step, weight in ((2, -0.6), (4, -0.7)):
        engine.weight = weight
        check(canary, engine, [1, 2], step, True)
        engine.weight = -0.5
        check_frozen(canary, engine)
    engine.weight = -0.7
    check(canary, engine, [1, 2], 6, False)  # an update without a gradient
    assert len(set(map(id, engine.requests))) == 1


def test_a_policy_that_draws_with_the_frozen_weights_stops_the_training() -> None:
    canary, engine = WeightCanary(), Engine()
    check(canary, engine, [1, 2], 0, False)
    engine.weight = -0.4
    check_frozen(canary, engine)
    with pytest.raises(Agent0Error, match=r"at update 2 .* of the frozen executor"):
        check(canary, engine, [1, 2], 2, True)


def test_a_frozen_model_that_draws_with_the_policys_weights_stops_the_training() -> None:
    canary, engine = WeightCanary(), Engine()
    check(canary, engine, [1, 2], 0, False)
    check_frozen(canary, engine)
    engine.weight = -0.6
    check(canary, engine, [1, 2], 2, True)
    with pytest.raises(Agent0Error, match="frozen executor's weights have not reached"):
        check_frozen(canary, engine)


@pytest.mark.parametrize(("warmup", "expected"), [(0, [False, True, True]), (2, [False, False, True])])
def test_weights_are_said_to_have_moved_only_where_they_have(
    random_model: Any, tokenizer: Any, tmp_path: Path, warmup: int, expected: list[bool]
) -> None:
    """The first update of a warm-up has a gradient, and a rate of 0."""
    said, weights = [], []

    def rollout(prompts: list[str], trainer: Any) -> dict[str, Any]:
        said.append(_has_moved(trainer))
        weights.append(torch.cat([weight.detach().flatten() for weight in trainer.model.parameters()]))
        return scripted(prompts, trainer)

    trainer_of(
        UsefulTokensTrainer,
        random_model,
        tokenizer,
        tmp_path,
        rollout,
        per_device_train_batch_size=8,
        gradient_accumulation_steps=1,
        steps_per_generation=1,
        num_generations=4,
        max_completion_length=24,
        learning_rate=1e-4,
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=warmup,
        max_steps=3,
        logging_steps=1,
    ).train()
    moved = [not torch.equal(*pair) for pair in pairwise(weights)]
    assert said == [False, *moved] == expected
