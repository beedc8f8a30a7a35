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


def trainer_of(
    kind: Callable[..., Any], model: Any, tokenizer: Any, folder: Path, rollout_func: Any = None, **settings: Any
) -> Any:
    return kind(
        model=copy.deepcopy(model),
        reward_funcs=[lambda completion_ids, **_: [sum(ids) % 7 / 7 for ids in completion_ids]],
        args=GRPOConfig(output_dir=str(folder), use_cpu=True, report_to=[], bf16=False, disable_tqdm=True, **settings),
        train_dataset=Dataset.from_list([{"prompt": f"solve {number}+1"} for number in range(16)]),
        rollout_func=rollout_func,
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


@pytest.mark.parametrize("longest", [1, COMPLETION])
@pytest.mark.parametrize(("rows", "budget"), [(None, 0), (5, 0), (5, PROMPT + COMPLETION), (5, 150)])
@pytest.mark.parametrize("prompts", [1, 3, ROWS])
@pytest.mark.parametrize("shared", [True, False])
def test_scores_and_gradients_are_those_of_the_padded_pass(
    random_model: Any,
    tokenizer: Any,
    tmp_path: Path,
    longest: int,
    rows: int | None,
    budget: int,
    prompts: int,
    shared: bool,
) -> None:
    ids, mask = ragged(longest, prompts)
    weight = torch.rand(ROWS, COMPLETION)
    found = []
    for kind in (GRPOTrainer, UsefulTokensTrainer):
        trainer = trainer_of(kind, random_model, tokenizer, tmp_path, gradient_checkpointing=not shared)
        trainer._micro_batch_tokens = budget
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


SPREAD = (4, 5, 6, 7, 9, 12, 17, 24)
"""Lengths of the completions of a group, a third of the longest on average."""


def scripted(prompts: list[str], trainer: Any) -> dict[str, Any]:
    """Completions of different lengths that depend on the step only, with some tokens that the model did not draw."""
    rng = random.Random(trainer.state.global_step)
    lengths = [SPREAD[number % len(SPREAD)] for number in range(len(prompts))]
    return {
        "prompt_ids": [trainer.processing_class(prompt).input_ids for prompt in prompts],
        "completion_ids": [[rng.randrange(10, 250) for _ in range(length)] for length in lengths],
        "env_mask": [[int(place % 5 < 4) for place in range(length)] for length in lengths],
        "logprobs": None,
    }


@pytest.mark.parametrize(("updates", "beta"), [(1, 0.0), (2, 0.1)])
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize(("budget", "loss"), [(0, "grpo"), (160, "grpo"), (160, "dapo"), (160, "dr_grpo")])
def test_weights_after_training_are_those_of_the_padded_run(
    random_model: Any,
    tokenizer: Any,
    tmp_path: Path,
    updates: int,
    beta: float,
    checkpointing: bool,
    budget: int,
    loss: str,
) -> None:
    """Two batches of eight groups of eight; TRL's micro-batches hold eight rows of whatever prompts it deals them."""
    random_model.save_pretrained(tmp_path / "base")  # where TRL finds the reference
    tokenizer.save_pretrained(tmp_path / "base")
    base = type(random_model).from_pretrained(tmp_path / "base")
    found, logged = [], []
    for kind, micro_batch in ((GRPOTrainer, 8), (UsefulTokensTrainer, 64 // updates)):
        run = trainer_of(
            kind,
            base,
            tokenizer,
            tmp_path,
            rollout_func=scripted,
            per_device_train_batch_size=micro_batch,
            gradient_accumulation_steps=64 // updates // micro_batch,
            steps_per_generation=64 // micro_batch,
            num_generations=8,
            max_completion_length=max(SPREAD),
            max_steps=2 * updates,
            learning_rate=1e-3,
            lr_scheduler_type="constant",
            adam_epsilon=1e-4,  # else Adam makes one full step of a gradient that is rounding alone
            beta=beta,
            loss_type=loss,
            gradient_checkpointing=checkpointing,
            logging_steps=1,
        )
        run._micro_batch_tokens = budget
        before = torch.cat([weights.detach().flatten() for weights in run.model.parameters()])
        run.train()
        found.append(torch.cat([weights.detach().flatten() for weights in run.model.parameters()]))
        logged.append([row for row in run.state.log_history if "loss" in row])
    padded, trimmed = found
    assert (padded - before).norm() > 1e-3 * before.norm()
    assert (trimmed - padded).norm() < 1e-6 * before.norm()
    for theirs, ours in zip(*logged, strict=True):
        assert [ours[name] for name in ("loss", "grad_norm")] == pytest.approx(
            [theirs[name] for name in ("loss", "grad_norm")], rel=1e-3, abs=1e-6
        )
        assert ours["entropy"] == pytest.approx(theirs["entropy"], rel=1e-3)
        assert (ours["passes/count"] > 1) is bool(budget)
        assert ours["passes/useful_tokens"] > (0.75 if budget else 0.4)
    assert [row.get("clip_ratio/noise_floor") for row in logged[1]] == [0.0, *([None] * (updates - 1))] * 2


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
        assert [width for _, width in read] == sorted((width for _, width in read), reverse=True)
        assert read[0][1] <= PROMPT + 9
    assert sum(rows * width for rows, width in read) < 0.6 * mask.numel()
