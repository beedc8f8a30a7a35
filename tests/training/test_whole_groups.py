"""The contract between updates of whole groups and TRL; a new TRL must pass it before its pin is moved."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from agent0.training.whole_groups import WholeGroupsTrainer

GROUPS, SIZE, UPDATES, PASSES = 6, 4, 3, 2


def advantages_of_updates(kind: type[Any], model: Any, tokenizer: Any, folder: Path) -> list[float]:
    """Train two batches; return the sum of the advantages that each update was computed from."""
    sums: list[float] = []

    class Noted(kind):  # type: ignore[misc]
        def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Any:
            if self._step % PASSES == 0:
                sums.append(0.0)
            sums[-1] += inputs["advantages"].sum().item()
            return super()._compute_loss(model, inputs)

    trainer = Noted(
        model=copy.deepcopy(model),
        reward_funcs=[lambda completion_ids, **_: [float(sum(ids) % 7) for ids in completion_ids]],
        args=GRPOConfig(
            output_dir=str(folder),
            use_cpu=True,
            report_to=[],
            bf16=False,
            max_steps=2 * UPDATES,
            per_device_train_batch_size=GROUPS * SIZE // UPDATES // PASSES,
            gradient_accumulation_steps=PASSES,
            steps_per_generation=UPDATES * PASSES,
            num_generations=SIZE,
            max_completion_length=4,
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list([{"prompt": f"solve {number}+1"} for number in range(2 * GROUPS)]),
        processing_class=tokenizer,
    )
    trainer.train()
    return sums


def test_the_advantages_of_an_update_add_up_to_nothing(random_model: Any, tokenizer: Any, tmp_path: Path) -> None:
    torch.manual_seed(1)
    sums = advantages_of_updates(WholeGroupsTrainer, random_model, tokenizer, tmp_path)
    assert sums == pytest.approx([0.0] * 2 * UPDATES, abs=1e-4)


def test_without_it_they_do_not(random_model: Any, tokenizer: Any, tmp_path: Path) -> None:
    torch.manual_seed(1)
    sums = advantages_of_updates(GRPOTrainer, random_model, tokenizer, tmp_path)
    assert max(map(abs, sums)) > 0.5
