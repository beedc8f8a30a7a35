"""Which type of arithmetic is fast on this machine, and what a recipe should do about it."""

from __future__ import annotations

import pytest
import torch

from agent0 import cpu_arithmetic
from agent0.config import RolloutSettings, TrainingSettings, load_config
from agent0.cpu_arithmetic import arithmetic_finding, cpu_rates, fastest_type
from agent0.rollout.backends import transformers_dtype
from agent0.training.grpo import computes_in_bfloat16


@pytest.mark.parametrize(
    ("rates", "settings", "advice"),
    [
        (
            {"float32": 59.0, "bfloat16": 8.0},
            ["training.precision=bfloat16"],
            "7.4 × as fast: --set training.precision=float32",
        ),
        ({"float32": 59.0, "bfloat16": 8.0}, ["rollout.dtype=bfloat16"], "7.4 × as fast: --set rollout.dtype=float32"),
        (
            {"float32": 60.0, "bfloat16": 180.0},
            [],
            "3.0 × as fast: --set training.precision=bfloat16 --set rollout.dtype=bfloat16",
        ),
        ({"float32": 60.0, "bfloat16": 180.0}, ["training.precision=bfloat16", "rollout.dtype=bfloat16"], ""),
        ({"float32": 60.0, "bfloat16": 55.0}, ["training.precision=bfloat16"], ""),
        ({"float32": 60.0, "bfloat16": 180.0}, ["training.precision=fastest", "rollout.dtype=fastest"], ""),
        ({"float32": 59.0, "bfloat16": 8.0}, ["training.precision=fastest", "rollout.dtype=fastest"], ""),
    ],
)
def test_a_type_that_the_processor_is_slow_in_is_found(
    rates: dict[str, float], settings: list[str], advice: str
) -> None:
    finding = arithmetic_finding(rates, load_config(None, settings))
    assert finding.advice == advice
    assert finding.state == ("warn" if advice else "ok")


def test_the_processor_is_timed_in_both_types() -> None:
    rates = cpu_rates()
    assert set(rates) == (set() if torch.cuda.is_available() else {"float32", "bfloat16"})
    assert all(rate > 0.1 for rate in rates.values())


@pytest.mark.parametrize(
    ("rates", "fastest"),
    [
        ({}, "bfloat16"),  # a GPU computes
        ({"float32": 80.0, "bfloat16": 190.0}, "bfloat16"),
        ({"float32": 50.0, "bfloat16": 8.0}, "float32"),
        ({"float32": 60.0, "bfloat16": 70.0}, "float32"),  # not worth the lost digits
    ],
)
def test_the_fastest_type_is_float32_unless_the_other_is_much_faster(
    rates: dict[str, float], fastest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu_arithmetic, "cpu_rates", lambda: rates)
    fastest_type.cache_clear()
    try:
        assert fastest_type() == fastest
        assert transformers_dtype(RolloutSettings(dtype="fastest")) == fastest
        assert computes_in_bfloat16(TrainingSettings(precision="fastest")) == (fastest == "bfloat16")
    finally:
        fastest_type.cache_clear()


def test_a_type_that_is_named_is_taken_whatever_is_faster() -> None:
    assert transformers_dtype(RolloutSettings(dtype="bfloat16")) == "bfloat16"
    assert not computes_in_bfloat16(TrainingSettings(precision="float32"))
