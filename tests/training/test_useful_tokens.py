"""The contract between the trimmed passes and TRL's GRPOTrainer; a new TRL must pass it before its pin is moved."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from agent0.training.useful_tokens import UsefulTokensTrainer

PROMPT, COMPLETION, ROWS = 20, 30, 12


def trainer_of(kind: Callable[..., Any], model: Any, tokenizer: Any, folder: Path) -> Any:
    return kind(
        model=copy.deepcopy(model),
        reward_funcs=[lambda completion_ids, **_: [0.0] * len(completion_ids)],
        args=GRPOConfig(output_dir=str(folder), use_cpu=True, report_to=[], bf16=False),
        train_dataset=Dataset.from_list([{"prompt": "solve 1+1"}]),
        processing_class=tokenizer,
    )


def ragged(longest: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids and mask of rows whose completions have up to `longest` tokens, as TRL pads them."""
    rng = random.Random(longest)
    mask = torch.zeros(ROWS, PROMPT + COMPLETION, dtype=torch.long)
    for row in range(ROWS):
        mask[row, PROMPT - rng.randint(1, PROMPT - 4) : PROMPT + rng.randint(1, longest)] = 1
    ids = torch.randint(3, 250, mask.shape, generator=torch.Generator().manual_seed(longest)) * mask
    return ids, mask


@pytest.mark.parametrize("longest", [1, 9, COMPLETION])
@pytest.mark.parametrize("rows", [None, 1, 5])
def test_scores_and_gradients_are_those_of_the_padded_pass(
    random_model: Any, tokenizer: Any, tmp_path: Path, longest: int, rows: int | None
) -> None:
    ids, mask = ragged(longest)
    weight = torch.rand(ROWS, COMPLETION)
    found = []
    for kind in (GRPOTrainer, UsefulTokensTrainer):
        trainer = trainer_of(kind, random_model, tokenizer, tmp_path)
        logps, entropies, loss = trainer._get_per_token_logps_and_entropies(
            trainer.model, ids, mask, COMPLETION, batch_size=rows, compute_entropy=True
        )
        assert loss is None
        scored = mask[:, PROMPT:]
        (logps * weight * scored).sum().backward()
        gradient = torch.cat([weights.grad.flatten() for weights in trainer.model.parameters()])
        found.append((logps * scored, entropies * scored, gradient))
    for padded, trimmed in zip(*found, strict=True):
        torch.testing.assert_close(trimmed, padded, atol=1e-4, rtol=1e-4)


def test_a_pass_is_as_wide_as_its_longest_row(
    random_model: Any, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids, mask = ragged(9)
    trainer = trainer_of(UsefulTokensTrainer, random_model, tokenizer, tmp_path)
    widths: list[int] = []
    body = trainer.model.base_model
    forward = body.forward

    def noted(*args: Any, **kwargs: Any) -> Any:
        widths.append(kwargs["input_ids"].shape[1])
        return forward(*args, **kwargs)

    monkeypatch.setattr(body, "forward", noted)
    with torch.no_grad():
        trainer._get_per_token_logps_and_entropies(trainer.model, ids, mask, COMPLETION, batch_size=4)
    assert len(widths) == 3
    assert widths == sorted(widths)
    assert widths[-1] <= PROMPT + 9
    assert 4 * sum(widths) < 0.6 * mask.numel()
