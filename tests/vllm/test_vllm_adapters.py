"""Low-rank adapters in a real engine and at a real server: loaded as adapters, or merged as trainings save them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent0.config import RolloutSettings, SamplingSettings
from agent0.errors import UsageError
from agent0.rollout import Backend, Generation, Request
from agent0.rollout.transformers_backend import TransformersBackend
from agent0.rollout.vllm_adapters import (
    RUNTIME_LOADING,
    Adapter,
    adapter_arguments,
    check_adapters,
    load_adapter,
    load_adapter_on_server,
)
from agent0.rollout.vllm_backend import VllmBackend, open_llm
from agent0.rollout.vllm_process import command_arguments, serve
from agent0.rollout.vllm_server_backend import VllmServerBackend
from agent0.training.engine_turns import load_weights

GREEDY = SamplingSettings(temperature=0.0)
RANK = 8
Draw = Callable[[Backend, list[Request]], list[Generation]]


@pytest.fixture(scope="module")
def requests(prompts: list[list[int]]) -> list[Request]:
    return [Request(prompt, 30, None, number) for number, prompt in enumerate(prompts)]


def tokens(drawn: list[Generation]) -> list[list[int]]:
    return [generation.token_ids for generation in drawn]


def adapted(model_folder: Path, seed: int, rank: int = RANK) -> Any:
    """Return the model with random adapters on every linear map."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    copy = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
    model = get_peft_model(copy, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")).eval()
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_" in name:
                weight.normal_(std=0.1)
    return model


@pytest.fixture(scope="module")
def adapters(
    model_folder: Path,
    trained: Any,
    requests: list[Request],
    end_ids: list[int],
    tmp_path_factory: pytest.TempPathFactory,
) -> list[tuple[Adapter, list[list[int]]]]:
    """Two of them, and what the model draws with each."""
    made = []
    for number in range(2):
        model = adapted(model_folder, number)
        adapter = Adapter(number, tmp_path_factory.mktemp("adapter"))
        model.save_pretrained(adapter.folder)
        backend = TransformersBackend(model, trained[1], GREEDY, end_ids, 32, 64)
        made.append((adapter, tokens(backend.generate(requests))))
    return made


@pytest.fixture(scope="module")
def plain(trained: Any, requests: list[Request], end_ids: list[int]) -> list[list[int]]:
    return tokens(TransformersBackend(*trained, GREEDY, end_ids, 32, 64).generate(requests))


@pytest.fixture(scope="module")
def engine(model_folder: Path, rollout: RolloutSettings) -> Iterator[Any]:
    from vllm import _custom_ops

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(_custom_ops, "_supports_onednn", False)  # see test_vllm_turns.py
        in_process = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
        with open_llm(model_folder, rollout, further=adapter_arguments(RANK), variables=in_process) as llm:
            yield llm


def test_an_engine_draws_with_each_adapter_in_turn_and_without_any(
    engine: Any,
    adapters: list[tuple[Adapter, list[list[int]]]],
    plain: list[list[int]],
    requests: list[Request],
    end_ids: list[int],
    draw: Draw,
) -> None:
    assert adapters[0][1] != adapters[1][1] != plain
    for adapter, expected in [*adapters, adapters[0]]:
        load_adapter(engine, adapter)
        assert tokens(draw(VllmBackend(engine, GREEDY, end_ids, 64, adapter=adapter), requests)) == expected
        assert tokens(draw(VllmBackend(engine, GREEDY, end_ids, 64), requests)) == plain


def test_other_weights_come_into_an_engine_that_takes_adapters_and_go_again(
    engine: Any,
    adapters: list[tuple[Adapter, list[list[int]]]],
    model_folder: Path,
    trained: Any,
    requests: list[Request],
    end_ids: list[int],
    draw: Draw,
    tmp_path: Path,
) -> None:
    adapter, expected = adapters[0]
    adapted(model_folder, 7).merge_and_unload().save_pretrained(tmp_path)
    trained[1].save_pretrained(tmp_path)
    merged = TransformersBackend(adapted(model_folder, 7), trained[1], GREEDY, end_ids, 32, 64).generate(requests)
    load_weights(engine, tmp_path)
    assert tokens(draw(VllmBackend(engine, GREEDY, end_ids, 64), requests)) == tokens(merged)
    load_weights(engine, model_folder)
    load_adapter(engine, adapter)
    assert tokens(draw(VllmBackend(engine, GREEDY, end_ids, 64, adapter=adapter), requests)) == expected


def test_an_adapter_that_the_engine_refuses_is_told_with_what_to_set(
    engine: Any, model_folder: Path, tmp_path: Path
) -> None:
    adapted(model_folder, 0, rank=2 * RANK).save_pretrained(tmp_path)
    with pytest.raises(UsageError, match=r"refuses the adapters .*rank 16 is greater.* set training.policy_backend"):
        load_adapter(engine, Adapter(5, tmp_path))


def test_a_model_for_which_vllm_has_no_adapters_is_refused(model_folder: Path, tmp_path: Path) -> None:
    check_adapters(model_folder)
    config = (model_folder / "config.json").read_text().replace("Qwen3ForCausalLM", "BertForMaskedLM")
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(UsageError, match=r"no adapters for a model of the architecture BertForMaskedLM"):
        check_adapters(tmp_path)


def test_a_server_takes_adapters_while_it_runs(
    model_folder: Path,
    rollout: RolloutSettings,
    adapters: list[tuple[Adapter, list[list[int]]]],
    requests: list[Request],
    end_ids: list[int],
    draw: Draw,
    tmp_path: Path,
) -> None:
    arguments = command_arguments(adapter_arguments(RANK))
    with serve(model_folder, rollout, log=tmp_path, extra_arguments=arguments, variables=RUNTIME_LOADING) as (address,):
        for adapter, expected in adapters:
            load_adapter_on_server(address, adapter)
            backend = VllmServerBackend([address], adapter.name, GREEDY, end_ids, rollout.vllm, 64)
            assert tokens(draw(backend, requests)) == expected
        with pytest.raises(UsageError, match=r"refuses the adapters .*set training.policy_backend"):
            load_adapter_on_server(address, Adapter(5, tmp_path / "nowhere"))


def test_a_merged_adapter_draws_what_the_adapted_model_draws(
    model_folder: Path,
    trained: Any,
    rollout: RolloutSettings,
    adapters: list[tuple[Adapter, list[list[int]]]],
    requests: list[Request],
    end_ids: list[int],
    draw: Draw,
    tmp_path: Path,
) -> None:
    adapted(model_folder, 0).merge_and_unload().save_pretrained(tmp_path)
    trained[1].save_pretrained(tmp_path)
    with open_llm(tmp_path, rollout) as llm:
        drawn = draw(VllmBackend(llm, GREEDY, end_ids, 64), requests)
    assert tokens(drawn) == adapters[0][1]
