"""Both vLLM backends on CUDA; not on CPU builds, whose tests are beside this file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from agent0.config import RolloutSettings, SamplingSettings
from agent0.protocol import STOP
from agent0.rollout import Backend, Generation, Request
from agent0.rollout.backends import open_backend
from agent0.rollout.transformers_backend import TransformersBackend

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is visible"),
]
GREEDY = SamplingSettings(temperature=0.0)
Draw = Callable[[Backend, list[Request]], list[Generation]]


def on_gpu(rollout: RolloutSettings, backend: str, eager: bool) -> RolloutSettings:
    changes = {"gpu_memory_utilization": 0.2, "enforce_eager": eager}
    return rollout.model_copy(update={"backend": backend, "vllm": rollout.vllm.model_copy(update=changes)})


@pytest.mark.parametrize("eager", [True, False])
@pytest.mark.parametrize("backend", ["vllm", "vllm_server"])
def test_greedy_turns_on_a_gpu_are_those_of_the_transformers_backend(
    model_folder: Path,
    trained: Any,
    rollout: RolloutSettings,
    end_ids: list[int],
    prompts: list[list[int]],
    draw: Draw,
    tmp_path: Path,
    backend: str,
    eager: bool,
) -> None:
    model, tokenizer = trained
    requests = [Request(prompt, 30, STOP, number) for number, prompt in enumerate(prompts)]
    expected = TransformersBackend(model, tokenizer, GREEDY, end_ids, 32, 64).generate(requests)
    settings = on_gpu(rollout, backend, eager)
    with open_backend(model_folder, tokenizer, settings, GREEDY, log=tmp_path, seed=0, gpus=[0]) as opened:
        drawn = draw(opened, requests)
    same = sum(d.token_ids == e.token_ids for d, e in zip(drawn, expected, strict=True))
    assert same >= 0.9 * len(requests)  # a near tie may fall the other way on another device


@pytest.mark.parametrize("backend", ["vllm", "vllm_server"])
def test_the_gpus_memory_is_free_again_afterwards(
    model_folder: Path,
    trained: Any,
    rollout: RolloutSettings,
    prompts: list[list[int]],
    draw: Draw,
    tmp_path: Path,
    backend: str,
) -> None:
    before = torch.cuda.mem_get_info(0)[0]
    settings = on_gpu(rollout, backend, eager=True)
    with open_backend(model_folder, trained[1], settings, GREEDY, log=tmp_path, seed=0, gpus=[0]) as opened:
        draw(opened, [Request(prompts[0], 4, STOP, 0)])
        assert torch.cuda.mem_get_info(0)[0] < before - 2**30
    assert torch.cuda.mem_get_info(0)[0] > before - 2**30
