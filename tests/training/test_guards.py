"""Guards trip after their patience and not before, and stop a real training before the bad step is saved."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from agent0.config import GuardSettings
from agent0.training.guards import GuardCallback, Guards, GuardTripped
from agent0.training.rollout_metrics import log_rollouts
from agent0.types import ToolCall, Trajectory

ON = GuardSettings(grace=0)
TRAJECTORIES = 8
OFF = GuardSettings(
    max_grad_norm=0,
    min_entropy=0,
    max_zero_advantage_share=0,
    max_truncated_share=0,
    min_tool_format=0,
    max_importance_ratio=0,
)
CASES = [
    ("grad_norm", "max_grad_norm", 101.0, 1.0),
    ("entropy", "min_entropy", 0.004, 0.5),
    ("frac_reward_zero_std", "max_zero_advantage_share", 1.0, 0.9),
    ("rollout/truncated", "max_truncated_share", 0.95, 0.5),
    ("rollout/tool_format", "min_tool_format", 0.1, 0.9),
    ("sampling/sampling_logp_difference/max", "max_importance_ratio", 7.0, 6.0),
]


def step_of(metric: str, value: float) -> dict[str, float]:
    """A step with enough calls."""
    return {metric: value, "rollout/tool_calls": 1.0}


@pytest.mark.parametrize(("metric", "field", "bad", "good"), CASES)
def test_a_guard_trips_at_its_patience_and_a_good_step_starts_over(
    metric: str, field: str, bad: float, good: float
) -> None:
    guards = Guards(ON, TRAJECTORIES)
    values = [bad, bad, good, bad, bad]
    assert [guards.check(step, step_of(metric, value)) for step, value in enumerate(values, 1)] == [None] * 5
    assert guards.check(6, {"loss": 0.0}) is None  # neither counts nor starts over
    sentence = guards.check(7, step_of(metric, bad))
    assert sentence is not None
    assert f"{metric} {bad:.4g}" in sentence
    assert f"training.guards.{field} " in sentence
    assert "for 3 steps (steps 4 to 7)" in sentence


@pytest.mark.parametrize(("metric", "field", "bad", "good"), CASES)
def test_zero_switches_a_guard_off(metric: str, field: str, bad: float, good: float) -> None:
    guards = Guards(OFF, TRAJECTORIES)
    assert all(guards.check(step, step_of(metric, bad)) is None for step in range(9))


@pytest.mark.parametrize(("metric", "field", "bad", "good"), CASES)
def test_the_first_measurements_do_not_count(metric: str, field: str, bad: float, good: float) -> None:
    settings = GuardSettings(grace=2, patience=1)
    guards = Guards(settings, TRAJECTORIES)
    assert [guards.check(step, step_of(metric, value)) for step, value in enumerate([good, good], 1)] == [None] * 2
    assert f"{metric} {bad:.4g}" in (guards.check(3, step_of(metric, bad)) or "")
    guards = Guards(settings, TRAJECTORIES)
    assert [guards.check(step, step_of(metric, value)) for step, value in enumerate([good, bad], 1)] == [None] * 2


@pytest.mark.parametrize(
    ("metric", "began", "kept_up", "worse"),
    [
        ("entropy", 0.008, 0.005, 0.003),
        ("rollout/truncated", 0.96, 0.97, 0.99),
        ("rollout/tool_format", 0.2, 0.15, 0.05),
    ],
)
def test_a_weak_model_is_measured_by_its_beginning(metric: str, began: float, kept_up: float, worse: float) -> None:
    guards = Guards(GuardSettings(), TRAJECTORIES)
    assert [guards.check(step, step_of(metric, value)) for step, value in enumerate([began] * 3 + [kept_up] * 9)] == [
        None
    ] * 12
    sentences = [guards.check(step, step_of(metric, worse)) for step in range(12, 15)]
    assert sentences[:2] == [None, None]
    assert f"since it began at {began:.3g}" in (sentences[2] or "")


@pytest.mark.parametrize("metric", ["grad_norm", "frac_reward_zero_std", "sampling/sampling_logp_difference/max"])
def test_no_beginning_excuses_what_is_broken(metric: str) -> None:
    bad = next(bad for name, _, bad, _ in CASES if name == metric)
    guards = Guards(GuardSettings(), TRAJECTORIES)
    assert [bool(guards.check(step, {metric: bad})) for step in range(6)] == [False] * 5 + [True]


@pytest.mark.parametrize("metric", ["loss", "grad_norm", "reward"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_a_number_trips_at_once(metric: str, value: float) -> None:
    assert f"{metric} is {value} at step 1" in (Guards(OFF, TRAJECTORIES).check(1, {metric: value}) or "")


def logged_rollouts(statuses: list[str]) -> dict[str, list[float]]:
    """What is logged of a batch of two trajectories, one with calls of these statuses and one without."""
    calls = tuple(ToolCall(code="", observation="", status=status) for status in statuses)
    common: dict[str, Any] = {"prompt_ids": (1,), "completion_ids": (2,), "mask": (1,), "text": "", "finish": "eos"}
    logged: dict[str, list[float]] = {}
    log_rollouts(
        lambda name, value: logged.setdefault(name, []).append(value),
        [Trajectory(**common, tool_calls=calls), Trajectory(**common)],
    )
    return logged


def test_tool_format_is_the_share_of_calls_with_a_program() -> None:
    logged = logged_rollouts(["ok", "no_code", "error", "ok"] * 2)
    assert sum(logged["rollout/tool_format"]) / len(logged["rollout/tool_format"]) == 0.75
    assert logged["rollout/tool_calls"] == [8.0, 0.0]


@pytest.mark.parametrize(("calls", "tripping_step"), [(1, 24), (3, 9), (8, 3), (20, 3)])
def test_a_handful_of_malformed_calls_stops_no_training(calls: int, tripping_step: int) -> None:
    """Three steps with one malformed call each say nothing; eight calls make one measurement, in however many steps."""
    guards = Guards(ON, 2)
    for step in range(1, 30):
        logged = logged_rollouts(["no_code"] * calls)
        sentence = guards.check(step, {name: sum(values) / len(values) for name, values in logged.items()})
        assert guards.check(step, {"loss": 0.0}) is None  # an update on the same batch
        if sentence:
            assert step == tripping_step
            return
    pytest.fail("never tripped")


def tiny(model: Any, tokenizer: Any, folder: Path, reward: Any, settings: GuardSettings, rate: float) -> Any:
    arguments = GRPOConfig(
        output_dir=str(folder),
        use_cpu=True,
        max_steps=6,
        per_device_train_batch_size=4,
        num_generations=4,
        max_completion_length=6,
        learning_rate=rate,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_steps=1,
        report_to=[],
        disable_tqdm=True,
    )
    run = GRPOTrainer(
        model=copy.deepcopy(model),
        reward_funcs=[reward],
        args=arguments,
        train_dataset=Dataset.from_list([{"prompt": "solve 1+2"}] * 8),
        processing_class=tokenizer,
    )
    run.add_callback(GuardCallback(Guards(settings, 4), lambda: "checkpoint-x"))
    return run


def token_reward(completion_ids: list[list[int]], **_: Any) -> list[float]:
    return [sum(ids) % 7 / 7 for ids in completion_ids]


def test_a_training_stops_before_the_bad_step_is_saved(random_model: Any, tokenizer: Any, tmp_path: Path) -> None:
    settings = GuardSettings(min_entropy=1000.0, patience=2, grace=0)
    run = tiny(random_model, tokenizer, tmp_path, token_reward, settings, 1e-6)
    with pytest.raises(GuardTripped, match=r"steps 1 to 2.*last good checkpoint is checkpoint-x"):
        run.train()
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-1"]


def test_a_reward_that_is_not_a_number_stops_a_training(random_model: Any, tokenizer: Any, tmp_path: Path) -> None:
    def broken(completion_ids: list[list[int]], **_: Any) -> list[float]:
        return [math.nan] * len(completion_ids)

    with pytest.raises(GuardTripped, match="at step 1"):
        tiny(random_model, tokenizer, tmp_path, broken, OFF, 1e-6).train()
    assert not list(tmp_path.glob("checkpoint-*"))


def test_a_resumed_training_counts_on_where_it_was(random_model: Any, tokenizer: Any, tmp_path: Path) -> None:
    settings = GuardSettings(min_entropy=1000.0, patience=4, grace=0)
    with pytest.raises(GuardTripped, match="steps 1 to 4"):
        tiny(random_model, tokenizer, tmp_path, token_reward, settings, 1e-6).train()
    resumed = tiny(random_model, tokenizer, tmp_path, token_reward, settings, 1e-6)
    with pytest.raises(GuardTripped, match="steps 1 to 4"):
        resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
