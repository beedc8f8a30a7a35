"""A low-rank adapter, merged into the weights as trainings save it, served by vLLM."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent0.config import RolloutSettings, SamplingSettings
from agent0.rollout import Backend, Generation, Request
from agent0.rollout.transformers_backend import TransformersBackend
from agent0.rollout.vllm_backend import VllmBackend, open_llm

GREEDY = SamplingSettings(temperature=0.0)


def test_a_merged_adapter_draws_what_the_adapted_model_draws(
    model_folder: Path,
    trained: Any,
    rollout: RolloutSettings,
    end_ids: list[int],
    prompts: list[list[int]],
    draw: Callable[[Backend, list[Request]], list[Generation]],
    tmp_path: Path,
) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base, tokenizer = trained
    requests = [Request(prompt, 30, None, number) for number, prompt in enumerate(prompts)]
    plain = TransformersBackend(base, tokenizer, GREEDY, 32, 64).generate(requests)

    copy = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
    adapted = get_peft_model(copy, LoraConfig(r=4, lora_alpha=8, target_modules="all-linear")).eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_" in name:
                weight.normal_(std=0.1)
    expected = TransformersBackend(adapted, tokenizer, GREEDY, 32, 64).generate(requests)
    assert [e.token_ids for e in expected] != [p.token_ids for p in plain]

    adapted.merge_and_unload().save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with open_llm(tmp_path, rollout) as llm:
        drawn = draw(VllmBackend(llm, GREEDY, end_ids, 64), requests)
    assert [d.token_ids for d in drawn] == [e.token_ids for e in expected]
