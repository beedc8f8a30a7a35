from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent0.config import load_config
from agent0.planning import compare_placements, make_plan, parse_cluster, propose
from agent0.planning.plan import Plan
from agent0.planning.proposal import changed_config
from agent0.planning.rates import MeasuredRates

SCHEMA = {
    "version": "Literal[4]",
    "stage keys": {
        "checkpoints",
        "stage",
        "fits",
        "problems",
        "devices",
        "host_gib",
        "notes",
        "drawn_tokens",
        "trained_tokens",
        "hours",
        "rates",
    },
    "plan keys": {
        "version",
        "recipe",
        "model",
        "parameters",
        "gpus",
        "gpu_memory_gib",
        "iterations",
        "fits",
        "stages",
        "hours_per_iteration",
        "hours",
        "rates",
        "rates_source",
        "share_of_ideal",
        "terms",
        "mean_prompt_tokens",
        "mean_response_tokens",
        "assumptions",
        "placements",
        "proposal",
    },
    "term keys": {"name", "gpu_hours", "share", "source"},
    "checkpoint keys": {
        "gigabytes",
        "count",
        "disk_gigabytes",
        "copying_seconds",
        "waiting_seconds",
        "handing_on_seconds",
    },
    "device keys": {
        "role",
        "gpus",
        "moment",
        "parts_gib",
        "total_gib",
        "limit_gib",
        "full_trajectories",
        "wanted_trajectories",
    },
}
"""What scripts read; a change of it raises the plan's version."""


def test_the_json_has_the_form_that_scripts_read() -> None:
    values = make_plan(load_config("qwen3-8b"), parse_cluster("8xH200")).model_dump(mode="json")
    assert values["version"] == 4
    assert set(values) == SCHEMA["plan keys"]
    assert all(set(stage) == SCHEMA["stage keys"] for stage in values["stages"])
    trainings = [stage["checkpoints"] for stage in values["stages"] if stage["trained_tokens"]]
    assert len(trainings) == 2
    assert all(set(taken) == SCHEMA["checkpoint keys"] for taken in trainings)
    assert all(set(term) == SCHEMA["term keys"] for term in values["terms"])
    assert all(set(use) == SCHEMA["device keys"] for stage in values["stages"] for use in stage["devices"])
    assert Plan.model_validate(values).model_dump(mode="json") == values


def test_tokens_follow_from_the_settings() -> None:
    plan = make_plan(load_config("qwen3-8b"), parse_cluster("8xH200"), mean_response_tokens=1000)
    tokens = {stage.stage: stage.drawn_tokens for stage in plan.stages}
    assert tokens["curriculum_training"] == 5 * 512 * 4 * (1 + 10) * 1000
    assert tokens["task_generation"] == 8000 * 1000
    assert tokens["sandboxed_execution"] == (8000 * 10 + 200 * 4) * 1000
    assert tokens["executor_training"] == 40 * 128 * 16 * 1000


def test_hours_add_up_to_all_iterations_and_the_base_evaluation() -> None:
    plan = make_plan(load_config("qwen3-8b", ["iterations=4"]), parse_cluster("8xH200"))
    hours = [stage.hours or 0.0 for stage in plan.stages]
    assert plan.hours_per_iteration == pytest.approx(sum(hours))
    assert plan.hours == pytest.approx(4 * sum(hours) + hours[-1])


@settings(max_examples=30)
@given(short=st.integers(1, 4096), more=st.integers(0, 4096))
def test_longer_responses_never_take_less_time(short: int, more: int) -> None:
    config, cluster = load_config("qwen3-8b"), parse_cluster("8xH200")
    assert (make_plan(config, cluster, short).hours or 0) <= (make_plan(config, cluster, short + more).hours or 0)


def test_an_estimate_is_never_called_measured() -> None:
    config, cluster = load_config("qwen3-8b", ["training.executor_gpus=4"]), parse_cluster("8xH200")
    assert make_plan(config, cluster).rates == "estimate"
    rates = MeasuredRates(gpu="H200", model="m", parameters=8_190_735_360, generated_per_second=3000.0, source="a run")
    half = make_plan(config, cluster, measured=rates)
    by_stage = {stage.stage: stage.rates for stage in half.stages}
    assert by_stage["task_generation"] == "measured"
    assert by_stage["curriculum_training"] == "part measured"
    assert by_stage["executor_training"] == "estimate"  # a server's rate says nothing of an engine beside a trainer
    assert half.rates == "part measured"
    rest = {"trained_per_second": 2000.0, "policy_generated_per_second": 1500.0}
    full = make_plan(config, cluster, measured=rates.model_copy(update=rest))
    assert (full.rates, full.rates_source) == ("measured", "a run")


def test_measured_rates_make_the_hours() -> None:
    rates = MeasuredRates(gpu="H200", model="m", parameters=1, generated_per_second=100.0, source="a run")
    slow = make_plan(load_config("qwen3-8b"), parse_cluster("8xH200"), 1000, rates)
    fast = make_plan(
        load_config("qwen3-8b"),
        parse_cluster("8xH200"),
        1000,
        rates.model_copy(update={"generated_per_second": 200.0}),
    )
    spent = [next(s.hours for s in plan.stages if s.stage == "task_generation") or 0.0 for plan in (slow, fast)]
    # 8 million tokens at 100 a second on each of 8 GPUs are 10,000 s, and half that at 200.
    assert spent[0] - spent[1] == pytest.approx(5000 / 3600)


@pytest.mark.parametrize(
    ("recipe", "gpus", "given"),
    [
        ("qwen3-4b", "2xL40S", []),
        ("qwen3-8b", "4xH200", ["training.executor_gpus=4"]),
        ("qwen3-8b", "2xH100", []),
        ("qwen3-8b", "8xA100-40", []),
        ("qwen3-8b", "1xL40S", []),
        ("qwen3-8b", "8xL4", []),
        ("qwen3-8b", "8xH200", ["training.sharding=ddp", "training.gradient_checkpointing=false"]),
        ("qwen3-8b", "8xH200", ["training.colocated_memory=0.1"]),
        ("qwen3-8b", "8xH200", ["training.policy_backend=vllm_server"]),
        ("qwen3-8b", "8xH200", ["rollout.vllm.tensor_parallel_size=3"]),
        ("qwen3-8b", "8xH200", ["training.micro_batch_tokens=0"]),
        ("qwen3-4b", "1xH100", []),
        ("one-gpu", "1xL4", ["training.policy_backend=transformers"]),
        ("tiny", "3xL4", []),
    ],
)
def test_a_proposal_fits_when_it_is_planned_again(recipe: str, gpus: str, given: list[str]) -> None:
    config, cluster = load_config(recipe, given), parse_cluster(gpus)
    refused = make_plan(config, cluster)
    assert not refused.fits
    assert refused.hours is None
    assert any(stage.problems for stage in refused.stages)
    proposal = propose(config, cluster, given)
    assert proposal is not None
    again = make_plan(load_config(recipe, proposal.overrides), parse_cluster(proposal.gpus))
    assert again.fits, again


def test_a_proposal_keeps_what_was_asked_for() -> None:
    given = ["iterations=5", "training.executor_gpus=8"]
    proposal = propose(load_config("qwen3-8b", given), parse_cluster("8xH200"), given)
    assert proposal is not None
    assert proposal.gpus == "8xH200"
    assert proposal.overrides[0] == "iterations=5"
    assert "training.executor_gpus=8" not in proposal.overrides


def test_a_proposal_changes_no_more_than_it_must() -> None:
    proposal = propose(load_config("qwen3-4b", ["training.executor_gpus=4"]), parse_cluster("4xA100-80"))
    assert proposal is not None
    assert [override.partition("=")[0] for override in proposal.overrides] == ["training.executor_gpus"]


def test_one_gpu_is_proposed_an_engine_that_both_agents_share() -> None:
    given = ["rollout.backend=vllm_server", "training.policy_backend=transformers", "training.executor_gpus=1"]
    cluster = parse_cluster("1xRTX4090")
    proposal = propose(load_config("one-gpu", given), cluster, given)
    assert proposal is not None
    assert proposal.gpus == "1xRTX4090"
    again = load_config("one-gpu", proposal.overrides)
    assert again.training.shares_engine(again.rollout)


def test_votes_drawn_in_turn_take_the_time_of_the_shared_engine_and_of_its_reloading() -> None:
    config, cluster = load_config("one-gpu"), parse_cluster("1xRTX4090")
    rates = MeasuredRates(
        gpu="RTX4090",
        model="m",
        parameters=596_049_920,
        generated_per_second=1000.0,
        policy_generated_per_second=500.0,
        trained_per_second=1e9,
        source="a run",
    )
    stage = make_plan(config, cluster, 1000, rates).stages[0]
    drawn = 5 * 64 * 4 * (1000 / 500 + 10 * 1000 / 500)  # by the rate of an engine beside a trainer, votes too
    reloaded = 5 * 4 * 596_049_920 / 1e9
    assert (stage.hours or 0.0) * 3600 == pytest.approx(180 + 5 * 15 + drawn + reloaded, rel=1e-3)


def test_an_executor_drawn_ahead_by_a_server_takes_the_longer_of_drawing_and_training() -> None:
    served = ["training.policy_backend=vllm_server", "training.policy_gpus=4", "training.executor_gpus=2"]
    served += ["training.checkpoints.every=0", "training.checkpoints.every_minutes=0"]  # of which a longer one has more
    rates = MeasuredRates(
        gpu="H200",
        model="8B",
        parameters=8_190_735_360,
        generated_per_second=1000.0,
        policy_generated_per_second=1000.0,
        trained_per_second=1500.0,
        source="a test",
    )

    def hours(staleness: int) -> dict[str, float]:
        config = load_config("qwen3-8b", [*served, f"training.staleness={staleness}"])
        plan = make_plan(config, parse_cluster("8xH200"), measured=rates)
        return {stage.stage: stage.hours or 0.0 for stage in plan.stages}

    in_turn, ahead = hours(0), hours(1)
    config = load_config("qwen3-8b", served)
    sequences = config.executor.steps * config.executor.tasks_per_step * config.executor.group_size
    drawn, prompts = sequences * 0.35 * 4096, sequences * 0.2 * 1024
    shorter = min(drawn / 1000 / 4, (drawn + prompts) / 1500 / 4) / 3600
    saved = in_turn.pop("executor_training") - ahead.pop("executor_training")
    assert saved == pytest.approx(shorter * (1 - 1 / config.executor.steps))
    assert ahead == in_turn


def test_a_backend_that_cannot_draw_ahead_is_a_problem_that_the_proposal_mends() -> None:
    config = changed_config(load_config("qwen3-8b"), {"training.staleness": 1})
    plan = make_plan(config, parse_cluster("8xH200"))
    assert "training.staleness=1 draws beside the trainers" in plan.stages[0].problems[0]
    proposal = propose(config, parse_cluster("8xH200"))
    assert proposal is not None
    assert proposal.overrides == ("training.staleness=0",)


def test_what_fits_nowhere_gets_no_proposal() -> None:
    config = load_config("qwen3-8b", ["rollout.max_response_tokens=50000000", "training.micro_batch_tokens=0"])
    assert propose(config, parse_cluster("1xL4")) is None


def test_every_backend_of_the_policy_is_compared() -> None:
    config, cluster = load_config("qwen3-8b"), parse_cluster("8xH200")
    found = {item.policy_backend: item for item in compare_placements(config, cluster)}
    assert list(found) == ["transformers", "vllm", "vllm_server"]
    assert found["transformers"].hours is None
    assert "cannot draw from weights sharded" in (found["transformers"].problem or "")
    assert found["vllm"].hours == pytest.approx(make_plan(config, cluster).hours)


def test_sharing_the_engine_is_among_what_is_compared() -> None:
    config, cluster = load_config("one-gpu"), parse_cluster("1xRTX4090")
    found = {item.policy_backend: item for item in compare_placements(config, cluster)}
    assert (found["vllm"].executor_gpus, found["vllm"].hours) == (0, make_plan(config, cluster).hours)
    assert found["vllm_server"].hours is None
