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


def trainer_of(kind: Callable[..., Any], model: Any, tokenizer: Any, folder: Path, **settings: Any) -> Any:
    return kind(
        model=copy.deepcopy(model),
        reward_funcs=[lambda completion_ids, **_: [sum(ids) % 7 / 7 for ids in completion_ids]],
        args=GRPOConfig(output_dir=str(folder), use_cpu=True, report_to=[], bf16=False, disable_tqdm=True, **settings),
        train_dataset=Dataset.from_list([{"prompt": f"solve {number}+1"} for number in range(8)]),
        processing_class=tokenizer,
    )


def ragged(longest: int, prompts: int = ROWS) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids and mask of rows whose completions have up to `longest` tokens, as TRL pads them.

    Rows `prompts` apart hold the same prompt. Some prompts differ in nothing but where they begin.
    """
    rng = random.Random(longest)
    mask = torch.zeros(ROWS, PROMPT + COMPLETION, dtype=torch.long)
    begins = [rng.randint(1, PROMPT - 4) for _ in range(prompts)]
    for row in range(ROWS):
        mask[row, PROMPT - begins[row % prompts] : PROMPT + rng.randint(1, longest)] = 1
    ids = torch.randint(3, 250, mask.shape, generator=torch.Generator().manual_seed(longest))
    ids[:, :PROMPT] = ids[0, :PROMPT]
    ids[prompts // 2 :: prompts, :PROMPT] += 1
    return ids * mask, mask


@pytest.mark.parametrize("longest", [1, 9, COMPLETION])
@pytest.mark.parametrize("rows", [None, 1, 5])
@pytest.mark.parametrize("prompts", [1, 3, ROWS])
@pytest.mark.parametrize("shared", [True, False])
def test_scores_and_gradients_are_those_of_the_padded_pass(
    random_model: Any, tokenizer: Any, tmp_path: Path, longest: int, rows: int | None, prompts: int, shared: bool
) -> None:
    ids, mask = ragged(longest, prompts)
    weight = torch.rand(ROWS, COMPLETION)
    found = []
    for kind in (GRPOTrainer, UsefulTokensTrainer):
        trainer = trainer_of(kind, random_model, tokenizer, tmp_path, gradient_checkpointing=not shared)
        logps, entropies, loss = trainer._get_per_token_logps_and_entropies(
            trainer.model, ids, mask, COMPLETION, batch_size=rows, compute_entropy=True
        )
        assert loss is None
        scored = mask[:, PROMPT:]
        (logps * weight * scored).sum().backward()
        gradient = torch.cat([weights.grad.flatten() for weights in trainer.model.parameters()])
        found.append((logps * scored, entropies * scored, gradient))
    assert trainer.shares_prompts == shared
    for padded, trimmed in zip(*found, strict=True):
        torch.testing.assert_close(trimmed, padded, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("updates", [1, 2])
@pytest.mark.parametrize("beta", [0.0, 0.1])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_weights_after_training_are_those_of_the_padded_run(
    random_model: Any, tokenizer: Any, tmp_path: Path, updates: int, beta: float, checkpointing: bool
) -> None:
    """Two batches of eight groups, in micro-batches of eight rows of whatever prompts TRL's shuffle deals them."""
    random_model.save_pretrained(tmp_path / "base")  # where TRL finds the reference
    tokenizer.save_pretrained(tmp_path / "base")
    base = type(random_model).from_pretrained(tmp_path / "base")
    found = []
    for kind in (GRPOTrainer, UsefulTokensTrainer):
        run = trainer_of(
            kind,
            base,
            tokenizer,
            tmp_path,
            per_device_train_batch_size=8,
            gradient_accumulation_steps=4 // updates,
            steps_per_generation=4,
            num_generations=4,
            max_completion_length=12,
            max_steps=2 * updates,
            learning_rate=1e-2,
            lr_scheduler_type="constant",
            beta=beta,
            gradient_checkpointing=checkpointing,
        )
        before = torch.cat([weights.detach().flatten() for weights in run.model.parameters()])
        run.train()
        found.append(torch.cat([weights.detach().flatten() for weights in run.model.parameters()]))
    padded, trimmed = found
    assert (padded - before).abs().mean() > 1e-3
    # Adam's first steps are of one size whatever the gradient's, so a weight without one moves by rounding alone.
    assert ((trimmed - padded).abs() > 1e-3).float().mean() < 0.01


def test_micro_batches_hold_the_rows_of_their_update_by_prompt(
    random_model: Any, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = trainer_of(
        UsefulTokensTrainer,
        random_model,
        tokenizer,
        tmp_path,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=3,
        steps_per_generation=6,
        num_generations=4,
        gradient_checkpointing=False,
    )
    rows = torch.arange(24)
    batch = {
        "prompt_ids": (rows // 4 + 5).repeat_interleave(3).view(24, 3),
        "prompt_mask": torch.ones(24, 3, dtype=torch.long),
        "completion_mask": (torch.arange(9) <= rows[:, None] % 9).long(),
        "row": rows,
        "num_items_in_batch": torch.tensor(7),
    }
    monkeypatch.setattr(GRPOTrainer, "_generate_and_score_completions", lambda self, inputs: dict(inputs))
    monkeypatch.setattr(UsefulTokensTrainer, "_dealt_anew", lambda self, parts: list(parts))
    trainer.model.train()
    torch.manual_seed(1)
    trainer._prepare_inputs(batch)
    shuffled = [part["row"] for part in trainer._buffered_inputs]
    monkeypatch.undo()
    monkeypatch.setattr(GRPOTrainer, "_generate_and_score_completions", lambda self, inputs: dict(inputs))
    trainer._buffered_inputs = None
    torch.manual_seed(1)
    first = trainer._prepare_inputs(batch)
    dealt = [part["row"] for part in trainer._buffered_inputs]
    assert torch.equal(first["row"], dealt[0])
    assert all(part["num_items_in_batch"] == 7 for part in trainer._buffered_inputs)
    for update in (slice(0, 3), slice(3, 6)):
        mine = torch.cat(dealt[update])
        assert sorted(mine) == sorted(torch.cat(shuffled[update]))
        keys = [(int(row) // 4, int(row) % 9) for row in mine]
        assert keys == sorted(keys)
    trainer._step = 1
    assert torch.equal(trainer._prepare_inputs(batch)["row"], dealt[1])


@pytest.mark.parametrize("shared", [True, False])
def test_a_pass_is_as_wide_as_its_longest_row_and_reads_a_prompt_once(
    random_model: Any, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    ids, mask = ragged(9, 3)
    trainer = trainer_of(UsefulTokensTrainer, random_model, tokenizer, tmp_path, gradient_checkpointing=not shared)
    read: list[torch.Size] = []
    body = trainer.model.base_model
    forward = body.forward

    def noted(*args: Any, **kwargs: Any) -> Any:
        read.append(kwargs["input_ids"].shape)
        return forward(*args, **kwargs)

    monkeypatch.setattr(body, "forward", noted)
    with torch.no_grad():
        trainer._get_per_token_logps_and_entropies(trainer.model, ids, mask, COMPLETION, batch_size=4)
    if shared:
        prompts, completions = read[::2], read[1::2]
        assert [rows for rows, _ in prompts] == [1, 1, 1]  # four rows of each prompt, and passes of four
        assert [rows for rows, _ in completions] == [4, 4, 4]
        assert max(width for _, width in completions) <= 1 + 9
    else:
        assert [rows for rows, _ in read] == [4, 4, 4]
        assert [width for _, width in read] == sorted(width for _, width in read)
        assert read[-1][1] <= PROMPT + 9
    assert sum(rows * width for rows, width in read) < 0.6 * mask.numel()
