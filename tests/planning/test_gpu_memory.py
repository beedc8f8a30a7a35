from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent0.config import Config, load_config
from agent0.planning import make_plan, training_host_gib
from agent0.planning.architecture import KNOWN, Architecture, architecture_of
from agent0.planning.gpu_memory import engine, layer_activation_bytes
from agent0.planning.hardware import parse_cluster
from agent0.planning.placement import STAGES
from agent0.planning.proposal import changed_config
from agent0.planning.stage_demands import stage_memory

QWEN = load_config("qwen3-8b", ["training.colocated_memory=0.3"])
EIGHT = parse_cluster("8xH200")


def trainer_gib(config: Config, gpus: str = "8xH200") -> float:
    memory = stage_memory("executor_training", architecture_of(config.model), config, parse_cluster(gpus))
    return next(use.total_gib for use in memory.devices if use.role == "trainer")


@pytest.mark.parametrize(
    ("dtype", "autocast", "element", "stream"),
    [("bfloat16", False, 2, 2), ("float32", True, 2, 4), ("float32", False, 4, 4)],
)
def test_activations_are_what_transformers_saves_for_the_backward_pass(
    dtype: str, autocast: bool, element: int, stream: int
) -> None:
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    architecture = Architecture("small", 1, 512, 8, 2, 64, 1536, 100, True)
    tokens, batch = 300, 2  # no activation has the shape of a weight

    def saved_bytes(layers: int) -> int:
        config = Qwen3Config(
            vocab_size=100,
            hidden_size=512,
            num_hidden_layers=layers,
            num_attention_heads=8,
            num_key_value_heads=2,
            head_dim=64,
            intermediate_size=1536,
            tie_word_embeddings=True,
        )
        model = Qwen3ForCausalLM(config).to(getattr(torch, dtype))
        weights = {parameter.shape[::-1] for parameter in model.parameters() if parameter.ndim == 2}
        weights |= {shape[::-1] for shape in weights}
        kept: dict[int, Any] = {}

        def pack(tensor: Any) -> Any:
            if tensor.shape not in weights:  # neither a weight nor autocast's cast of one
                kept[tensor.untyped_storage().data_ptr()] = tensor
            return tensor

        ids = torch.randint(0, 100, (batch, tokens))
        mask = torch.ones_like(ids)
        mask[0, :50] = 0
        with (
            torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
            torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast),
        ):
            model.model(input_ids=ids, attention_mask=mask)
        return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())

    measured = (saved_bytes(2) - saved_bytes(1)) / (tokens * batch)
    counted = layer_activation_bytes(architecture, element, stream)
    assert measured <= counted <= 1.15 * measured


@settings(max_examples=60)
@given(
    response=st.integers(256, 16_384),
    more=st.integers(0, 16_384),
    sharding=st.sampled_from(["ddp", "fsdp2", "zero3"]),
    checkpointing=st.booleans(),
    backend=st.sampled_from(["transformers", "vllm"]),
)
def test_longer_responses_never_need_less(
    response: int, more: int, sharding: str, checkpointing: bool, backend: str
) -> None:
    base = {
        "training.sharding": sharding,
        "training.gradient_checkpointing": checkpointing,
        "training.policy_backend": backend,
    }
    short = changed_config(QWEN, {**base, "rollout.max_response_tokens": response})
    long = changed_config(QWEN, {**base, "rollout.max_response_tokens": response + more})
    assert trainer_gib(short) <= trainer_gib(long)


@settings(max_examples=60)
@given(
    few=st.sampled_from([1, 2, 4]),
    sharding=st.sampled_from(["fsdp2", "zero3"]),
    rank=st.sampled_from([0, 16]),
    micro=st.sampled_from([1, 2, 4]),
)
def test_more_sharding_never_needs_more_on_a_gpu(few: int, sharding: str, rank: int, micro: int) -> None:
    config = changed_config(
        QWEN, {"training.sharding": sharding, "training.lora.rank": rank, "training.micro_batch_tokens": micro * 5120}
    )
    # From one process to two NCCL's buffers come on top, so one process is compared without them.
    alone = 1.0 if few == 1 else 0.0
    assert trainer_gib(config, f"{2 * few}xH200") <= trainer_gib(config, f"{few}xH200") + alone


@settings(max_examples=40)
@given(sharding=st.sampled_from(["fsdp2", "zero3"]), rank=st.sampled_from([0, 16]))
def test_sharding_needs_less_than_copies(sharding: str, rank: int) -> None:
    copied = changed_config(QWEN, {"training.sharding": "ddp", "training.lora.rank": rank})
    sharded = changed_config(QWEN, {"training.sharding": sharding, "training.lora.rank": rank})
    assert trainer_gib(sharded) < trainer_gib(copied)


@pytest.mark.parametrize(
    "changes",
    [
        {"training.gradient_checkpointing": True},
        {"training.micro_batch_tokens": 5120},
        {"training.lora.rank": 16},
        {"executor.kl_coefficient": 0.0},
    ],
)
def test_each_saving_saves(changes: dict[str, Any]) -> None:
    costly = changed_config(QWEN, {"training.gradient_checkpointing": False})
    assert trainer_gib(changed_config(costly, changes)) < trainer_gib(costly)


def test_a_cache_of_twice_the_length_holds_half_the_trajectories() -> None:
    vllm = QWEN.rollout.vllm
    short, long = (engine(KNOWN["Qwen3-8B"], vllm, length, 1, 120.0, 8192) for length in (4096, 8192))
    assert short.trajectories // 2 == long.trajectories
    # 2 x 36 layers x 8 heads x 128 numbers x 2 bytes = 144 KiB for a token
    assert short.trajectory == pytest.approx(4096 * 144 / 2**20)


def test_full_training_of_8b_with_adamw_in_32_bits_does_not_fit_one_80_gb_gpu() -> None:
    config = changed_config(QWEN, {"training.executor_gpus": 0, "rollout.backend": "vllm"})
    memory = stage_memory("executor_training", KNOWN["Qwen3-8B"], config, parse_cluster("1xH100"))
    assert not memory.fits
    assert memory.devices[0].parts_gib["optimizer"] == pytest.approx(8 * 8_190_735_360 / 2**30)
    assert "most by optimizer" in memory.problems[0]


def test_full_training_of_8b_fits_eight_h200_when_sharded() -> None:
    assert QWEN.training.sharding == "fsdp2"
    assert make_plan(QWEN, EIGHT).fits


@pytest.mark.parametrize("gpus", ["1xL4", "1xA10G", "2xL40S", "8xH200", "2x8xH100"])
def test_the_embedded_model_fits_anywhere(gpus: str) -> None:
    tiny = load_config("tiny")
    # The recipe's batches of 32 and 16 sequences go to one process wherever they do not divide over the GPUs.
    config = changed_config(tiny, {"training.processes": 1})
    assert make_plan(config, parse_cluster(gpus)).fits


@pytest.mark.parametrize("recipe", ["qwen3-4b", "qwen3-8b", "official-code", "r-zero", "socratic-zero"])
@pytest.mark.parametrize("gpus", ["8xH100", "8xH200"])
def test_the_shipped_recipes_fit_a_node_of_eight(recipe: str, gpus: str) -> None:
    config = load_config(recipe)
    cluster = parse_cluster(gpus)
    architecture = architecture_of(config.model)
    problems = [stage_memory(stage, architecture, config, cluster).problems for stage in STAGES]
    assert problems == [()] * len(STAGES)


@pytest.mark.parametrize("gpus", ["1xRTX4090", "1xL4", "1xA10G", "1xH100"])
def test_one_gpu_of_24_gb_is_enough_for_the_recipe_of_that_name(gpus: str) -> None:
    config = load_config("one-gpu")
    assert make_plan(config, parse_cluster(gpus)).fits


def test_a_shared_engine_is_counted_once() -> None:
    config, cluster = load_config("one-gpu", ["curriculum.updates_per_step=1"]), parse_cluster("1xL4")
    architecture = architecture_of(config.model)

    def parts(stage: Any) -> dict[str, float]:
        (use,) = stage_memory(stage, architecture, config, cluster).devices
        return use.parts_gib

    assert parts("curriculum_training") == parts("executor_training")


@pytest.mark.parametrize(
    ("overrides", "bytes_per_parameter"),
    [
        ([], 8 * 2 * 4 + 3 * 4),
        (["executor.kl_coefficient=0"], 8 * 4 + 3 * 4),
        (["model.dtype=bfloat16"], 8 * 2 * 2 + 3 * 2),
        (["training.sharding=ddp"], 8 * 2 * 4 + 3 * 4),
        (["training.sharding=zero3"], 8 * 2 * 4 + 2),
    ],
)
def test_the_host_holds_what_every_process_loads_and_a_copy_of_a_checkpoint(
    overrides: list[str], bytes_per_parameter: int
) -> None:
    config = load_config("qwen3-8b", overrides)
    for nodes in ("8xH200", "2x8xH200"):
        memory = stage_memory("executor_training", KNOWN["Qwen3-8B"], config, parse_cluster(nodes))
        assert memory.host_gib == pytest.approx(bytes_per_parameter * 8_190_735_360 / 2**30)


def test_adapters_need_no_reference_and_what_only_draws_needs_no_host() -> None:
    config = load_config("qwen3-8b", ["training.lora.rank=64"])
    memory = stage_memory("executor_training", KNOWN["Qwen3-8B"], config, EIGHT)
    copied = 3 * 4 * KNOWN["Qwen3-8B"].adapter_parameters(64)
    asleep = 8 * 2 * 8_190_735_360  # the engine's weights
    assert memory.host_gib == pytest.approx((8 * 4 * 8_190_735_360 + asleep + copied) / 2**30)
    assert stage_memory("task_generation", KNOWN["Qwen3-8B"], QWEN, EIGHT).host_gib is None


def test_a_pod_is_sized_for_its_larger_training_and_none_for_trainings_of_no_steps() -> None:
    assert training_host_gib(QWEN, 8) == stage_memory("executor_training", KNOWN["Qwen3-8B"], QWEN, EIGHT).host_gib
    curriculum = stage_memory("curriculum_training", KNOWN["Qwen3-8B"], QWEN, EIGHT).host_gib
    assert training_host_gib(load_config("qwen3-8b", ["executor.steps=0"]), 8) == curriculum
    assert training_host_gib(load_config("qwen3-8b", ["executor.steps=0", "curriculum.steps=0"]), 8) == 0
