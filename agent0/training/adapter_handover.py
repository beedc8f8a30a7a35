"""Adapters of the model in training, written where an engine that holds the base model can load them.

They are a hundredth of the weights, so nothing is merged, and nothing but them is sent. Sharded ones are gathered, and
the first process writes.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import save_file
from torch.distributed.tensor import DTensor
from trl.distributed import DistributedBackend

from agent0.rollout.vllm_adapters import Adapter

ADAPTERS_FOLDER = "adapters"
"""Where a job's folder has them."""
WEIGHTS_FILE = "adapter_model.safetensors"  # PEFT's name
_WRAPPERS = ("_checkpoint_wrapped_module.", "_orig_mod.")


class AdapterHandover:
    """Writes the adapters of one training below `folder`, which all its processes see; the last ones are kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._last: Adapter | None = None

    def publish(self, trainer: Any) -> Adapter:
        """Return the adapters that TRL's `trainer` has after its updates so far; all processes call it together."""
        number = trainer.state.global_step
        if self._last is not None and self._last.number == number:
            return self._last
        adapter = Adapter(number, self._folder / f"{number:06d}")
        weights = _gathered(trainer)
        if trainer.accelerator.is_main_process:
            shutil.rmtree(adapter.folder, ignore_errors=True)
            adapter.folder.mkdir(parents=True)
            save_file(weights, adapter.folder / WEIGHTS_FILE)
            adapted: PeftModel = trainer.accelerator.unwrap_model(trainer.model)
            adapted.peft_config["default"].save_pretrained(str(adapter.folder))
        trainer.accelerator.wait_for_everyone()
        if self._last is not None and trainer.accelerator.is_main_process:
            shutil.rmtree(self._last.folder)
        self._last = adapter
        return adapter


def _gathered(trainer: Any) -> dict[str, torch.Tensor]:
    """Return the adapters' weights, whole and on the CPU, by PEFT's names in a file."""
    trained = {name: weight for name, weight in trainer.model.named_parameters() if "lora_" in name}
    with DistributedBackend(trainer.accelerator).gather_params(list(trained.values())):
        return {_name(name): _whole(weight).detach().cpu().contiguous() for name, weight in trained.items()}


def _whole(weight: torch.Tensor) -> torch.Tensor:
    return weight.full_tensor() if isinstance(weight, DTensor) else weight.clone()


def _name(name: str) -> str:
    for wrapper in _WRAPPERS:
        name = name.replace(wrapper, "")
    return name.removeprefix("module.").replace(".default.", ".")
