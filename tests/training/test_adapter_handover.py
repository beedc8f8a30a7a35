"""Adapters of a trainer, as an engine gets them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file

from agent0.rollout.model_folders import load_model
from agent0.training.adapter_handover import AdapterHandover


@pytest.fixture
def trainer(half_trained: Path) -> Any:
    model, _ = load_model(half_trained, "float32")
    adapted = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM"))
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_" in name:
                weight.normal_(std=0.1)
    return SimpleNamespace(model=adapted, accelerator=Accelerator(cpu=True), state=SimpleNamespace(global_step=2))


def test_what_is_handed_over_is_what_peft_would_save_and_load(trainer: Any, half_trained: Path, tmp_path: Path) -> None:
    adapter = AdapterHandover(tmp_path / "adapters").publish(trainer)
    trainer.model.save_pretrained(tmp_path / "saved")
    ours, theirs = (load_file(folder / "adapter_model.safetensors") for folder in (adapter.folder, tmp_path / "saved"))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(weight, theirs[name]) for name, weight in ours.items())
    again = PeftModel.from_pretrained(load_model(half_trained, "float32")[0], adapter.folder)
    ids = torch.arange(10, 20).unsqueeze(0)
    assert torch.equal(again(input_ids=ids).logits, trainer.model.eval()(input_ids=ids).logits)


def test_only_the_last_are_kept_and_those_of_one_step_are_written_once(trainer: Any, tmp_path: Path) -> None:
    handover = AdapterHandover(tmp_path)
    first = handover.publish(trainer)
    assert handover.publish(trainer) is first
    trainer.state.global_step = 4
    second = handover.publish(trainer)
    assert (first.name, second.name) == ("adapter-2", "adapter-4")
    assert list(tmp_path.iterdir()) == [second.folder]
