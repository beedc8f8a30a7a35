"""What the GPUs' time goes into, and the share of it that goes into what must be done."""

from __future__ import annotations

import pytest

from agent0.config import load_config
from agent0.planning import make_plan, parse_cluster
from agent0.planning.ideal_share import (
    CHANGING,
    CHECKPOINTS,
    DRAWN,
    RECOMPUTED,
    SLOWER,
    SOURCES,
    STARTING,
    TAILS,
    TRAINED,
    WAITING,
)
from agent0.planning.plan import Plan
from agent0.planning.rates import MeasuredRates

LEAST_SHARE = 0.65
SERVED = ("training.policy_backend=vllm_server", "training.policy_gpus=4", "training.executor_gpus=2")


def planned(gpus: str, *settings: str, recipe: str = "qwen3-8b", measured: MeasuredRates | None = None) -> Plan:
    return make_plan(load_config(recipe, settings), parse_cluster(gpus), measured=measured)


def hours(plan: Plan) -> dict[str, float]:
    return {term.name: term.gpu_hours for term in plan.terms}


def share(plan: Plan) -> float:
    assert plan.share_of_ideal is not None
    return plan.share_of_ideal


@pytest.mark.parametrize(
    ("recipe", "gpus", "settings"),
    [
        ("qwen3-8b", "8xH100", []),
        ("qwen3-8b", "2x8xH200", ["training.executor_gpus=4"]),
        ("qwen3-8b", "8xB200", [*SERVED, "training.staleness=1"]),
        ("qwen3-4b", "4xA100-80", []),
        ("one-gpu", "1xRTX4090", []),
        ("tiny", "1xL4", []),
    ],
)
def test_the_terms_are_all_that_the_gpus_do(recipe: str, gpus: str, settings: list[str]) -> None:
    plan, cluster = planned(gpus, *settings, recipe=recipe), parse_cluster(gpus)
    assert plan.hours_per_iteration is not None
    assert sum(hours(plan).values()) == pytest.approx(plan.hours_per_iteration * cluster.total)
    assert sum(term.share for term in plan.terms) == pytest.approx(1)
    assert 0 < share(plan) < 1
    assert all(SOURCES[term.name] == term.source for term in plan.terms)
    assert hours(plan).get(WAITING, 0.0) > -1e-9


def test_the_papers_run_on_eight_h100_spends_most_of_their_time_on_its_tokens() -> None:
    plan = planned("8xH100")
    assert share(plan) >= LEAST_SHARE
    assert hours(plan).get(WAITING, 0.0) == pytest.approx(0.0)  # all eight draw, then all eight train


@pytest.mark.parametrize(
    ("setting", "term"),
    [
        ("training.executor_gpus=4", WAITING),
        ("rollout.concurrency=16", SLOWER),
        ("training.colocated_memory=0.3", SLOWER),
        ("training.checkpoints={every=1,every_minutes=0}", CHECKPOINTS),
    ],
)
def test_a_worse_setting_has_its_price_under_its_name(setting: str, term: str) -> None:
    good, bad = planned("8xH100"), planned("8xH100", setting)
    assert share(bad) < share(good)
    more = {name: hours(bad).get(name, 0.0) - hours(good).get(name, 0.0) for name in SOURCES}
    assert max(more, key=lambda name: more[name]) == term
    assert more[DRAWN] == more[TRAINED] == pytest.approx(0.0)


def test_nothing_is_recomputed_without_checkpointing() -> None:
    kept = planned("8xH200", "training.gradient_checkpointing=false", "training.micro_batch_tokens=5120")
    assert RECOMPUTED not in hours(kept)
    assert hours(planned("8xH200"))[RECOMPUTED] > 0


def test_a_tail_is_what_the_longest_takes_beyond_the_mean() -> None:
    config = load_config("qwen3-8b")
    longest = make_plan(config, parse_cluster("8xH100"), config.rollout.max_response_tokens)
    assert TAILS not in hours(longest)
    seconds = 8 * (4096 - 0.35 * 4096) * 2 * 8_190_735_360 / 3.35e12 / 0.5  # of one batch on eight GPUs
    batches = 5 * 2 + 40 + 3  # proposals and votes in turn, the executor's, and the stages that only draw
    assert hours(planned("8xH100"))[TAILS] * 3600 == pytest.approx(batches * seconds, rel=0.1)


def test_rates_of_a_run_hold_tails_and_padding() -> None:
    rates = MeasuredRates(
        gpu="H100", model="m", parameters=8_190_735_360, generated_per_second=2000.0,
        policy_generated_per_second=1500.0, trained_per_second=2000.0, source="a run",
    )  # fmt: skip
    plan = planned("8xH100", measured=rates)
    assert set(hours(plan)) == {DRAWN, TRAINED, SLOWER, CHANGING, STARTING, CHECKPOINTS} | (
        {WAITING} & set(hours(plan))
    )
    assert {term.source for term in plan.terms if term.name in (DRAWN, TRAINED)} == {"a run"}


def test_what_does_not_fit_has_no_share() -> None:
    plan = planned("2xL40S")
    assert (plan.share_of_ideal, plan.terms) == (None, ())
