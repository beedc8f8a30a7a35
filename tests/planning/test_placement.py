from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent0.config import load_config
from agent0.errors import UsageError
from agent0.planning import check_devices, check_pods
from agent0.planning.hardware import GPUS, parse_cluster
from agent0.planning.placement import GENERATION_STAGES, STAGES, Placement, place, rows_per_update
from agent0.planning.proposal import changed_config

QWEN = load_config("qwen3-8b")
SERVED = load_config("qwen3-8b", ["training.executor_gpus=4"])


def test_clusters_are_read_and_written_alike() -> None:
    for text in ("8xH200", "1xL40S", "4xA100-80", "2x8xH100"):
        assert str(parse_cluster(text)) == text
    assert parse_cluster("2x8xh100").total == 16


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("8xH300", "did you mean H"),
        ("4xA100", "did you mean A100-80"),
        ("H200", "COUNTxGPU"),
        ("0xH200", "COUNTxGPU"),
        ("2x0xH200", "COUNTxGPU"),
        ("8xTPU", "Known: H200"),
        ("-1xH200", "COUNTxGPU"),
    ],
)
def test_an_unknown_gpu_or_form_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_cluster(text)


def test_newer_gpus_are_not_slower() -> None:
    ranked = [GPUS[name] for name in ("A100-80", "H100", "H200", "B200")]
    assert [gpu.bandwidth for gpu in ranked] == sorted(gpu.bandwidth for gpu in ranked)
    assert [gpu.tflops for gpu in ranked] == sorted(gpu.tflops for gpu in ranked)


def test_a_frozen_executor_on_servers_takes_their_gpus_in_the_curriculum_stage_only() -> None:
    assert place(SERVED, "curriculum_training", 1, 8) == Placement("curriculum_training", trainers=4, frozen_servers=4)
    assert place(SERVED, "executor_training", 1, 8) == Placement("executor_training", trainers=8)
    assert place(SERVED, "curriculum_training", 2, 8).trainers == 8
    assert place(QWEN, "task_generation", 2, 8).frozen_servers == 16


@pytest.mark.parametrize(
    ("changes", "gpus", "message"),
    [
        ({"training.executor_gpus": 4}, 4, "leave 0 of 4 GPUs"),
        ({"training.launcher": "trainjob"}, 8, "needs training.executor_gpus"),
        ({"training.policy_backend": "vllm_server"}, 8, "needs training.policy_gpus"),
        ({"training.policy_backend": "transformers"}, 8, "cannot draw from weights sharded"),
        ({"training.processes": 9}, 8, "for 9 training processes"),
        ({"training.executor_gpus": 5}, 8, "do not divide"),
        (
            {"rollout.vllm.tensor_parallel_size": 3, "training.executor_gpus": 4},
            8,
            "no multiple of tensor_parallel_size=3",
        ),
    ],
)
def test_a_placement_that_cannot_be_is_named(changes: dict[str, Any], gpus: int, message: str) -> None:
    problems = place(changed_config(QWEN, changes), "curriculum_training", 1, gpus).problems
    assert any(message in problem for problem in problems), problems


def test_an_engine_drawn_from_in_turn_takes_no_gpu_of_its_own() -> None:
    one = load_config("one-gpu")
    assert place(one, "curriculum_training", 1, 1) == Placement("curriculum_training", trainers=1, shared=True)
    assert place(one, "executor_training", 1, 1) == Placement("executor_training", trainers=1)
    assert place(one, "task_generation", 1, 1) == Placement("task_generation", frozen_in_process=1)
    check_devices(one, 1)
    aside = place(changed_config(one, {"training.executor_gpus": 1}), "curriculum_training", 1, 2)
    assert aside == Placement("curriculum_training", trainers=1, frozen_servers=1)
    served = changed_config(one, {"rollout.backend": "vllm_server"})
    assert place(served, "curriculum_training", 1, 1) == Placement("curriculum_training", trainers=1, shared=True)
    apart = changed_config(served, {"training.policy_backend": "transformers"})
    (problem,) = place(apart, "curriculum_training", 1, 1).problems
    assert "unless it shares the engines of the training" in problem


@pytest.mark.parametrize("parallel", [3, 16])
def test_servers_must_fill_a_node(parallel: int) -> None:
    config = changed_config(QWEN, {"rollout.vllm.tensor_parallel_size": parallel})
    assert "does not divide the 8 GPUs" in place(config, "task_generation", 1, 8).problems[0]


@settings(max_examples=200)
@given(
    groups=st.integers(1, 64),
    size=st.integers(2, 16),
    updates=st.integers(1, 6),
    processes=st.integers(1, 9),
)
def test_batches_divide_where_the_trainer_says_so(groups: int, size: int, updates: int, processes: int) -> None:
    from agent0.training.batch_division import BatchPlan

    values = {"tasks_per_step": groups, "group_size": size, "updates_per_step": updates}
    rows = rows_per_update(QWEN.executor.model_copy(update=values), processes)
    try:
        plan = BatchPlan(groups, size, updates, processes)
    except UsageError:
        assert rows is None
    else:
        assert rows == plan.rows


@pytest.mark.parametrize("recipe", ["qwen3-8b", "qwen3-4b", "official-code", "r-zero", "socratic-zero"])
def test_a_gpu_recipe_without_gpus_is_refused_with_the_reasons(recipe: str) -> None:
    with pytest.raises(UsageError) as refused:
        check_devices(load_config(recipe), 0)
    for part in ("training.sharding=fsdp2", "training.policy_backend=vllm", "no GPU", "--recipe tiny", "agent0 plan"):
        assert part in str(refused.value)


@pytest.mark.parametrize("gpus", [0, 1, 2, 8])
def test_the_embedded_recipe_runs_with_and_without_gpus(gpus: int) -> None:
    check_devices(load_config("tiny"), gpus)


def test_frozen_models_on_vllm_need_no_gpu_of_their_own() -> None:
    check_devices(load_config("tiny", ["rollout.backend=vllm_server"]), 0)


def test_too_few_gpus_are_refused_before_anything_starts() -> None:
    check_devices(SERVED, 8)
    with pytest.raises(UsageError, match=r"leave 0 of 4 GPUs.*agent0 plan"):
        check_devices(SERVED, 4)


def test_a_training_of_no_steps_asks_for_nothing() -> None:
    check_devices(load_config("qwen3-8b", ["curriculum.steps=0", "training.executor_gpus=4"]), 4)


def test_pods_that_the_trainings_do_not_fit_are_refused_and_a_trainjobs_nodes_are_not_judged() -> None:
    with pytest.raises(UsageError, match=r"pods with 4 GPU.* leave 0 of 4 GPUs"):
        check_pods(SERVED, STAGES, 4)
    with pytest.raises(UsageError, match=r"2048 sequences per step do not divide into 2 update"):
        check_pods(SERVED, STAGES, 12)
    check_pods(QWEN, GENERATION_STAGES, 4)
    check_pods(load_config("qwen3-8b", ["training.launcher=trainjob"]), STAGES, 4)
