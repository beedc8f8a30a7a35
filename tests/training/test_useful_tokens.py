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
from peft import LoraConfig
from transformers import GPT2Config, GPT2LMHeadModel, Qwen3MoeConfig, Qwen3MoeForCausalLM
from trl import GRPOConfig, GRPOTrainer

from agent0.training.useful_tokens import UsefulTokensTrainer

PROMPT, COMPLETION, ROWS = 20, 30, 12


def sevenths(completion_ids: list[list[int]], **_: Any) -> list[float]:
    return [sum(ids) % 7 / 7 for ids in completion_ids]


def trainer_of(
    kind: Callable[..., Any],
    model: Any,
    tokenizer: Any,
    folder: Path,
    rollout_func: Any = None,
    reward: Callable[..., list[float]] = sevenths,
    peft_config: Any = None,
    **settings: Any,
) -> Any:
    return kind(
        model=copy.deepcopy(model),
        reward_funcs=[reward],
        args=GRPOConfig(output_dir=str(folder), use_cpu=True, report_to=[], bf16=False, disable_tqdm=True, **settings),
        train_dataset=Dataset.from_list([{"prompt": f"solve {number}+1"} for number in range(16)]),
        rollout_func=rollout_func,
        processing_class=tokenizer,
        peft_config=peft_config,
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


@pytest.mark.parametrize("budget", [0, 90, PROMPT + COMPLETION])
@pytest.mark.parametrize("adapters", [False, True])
def test_a_model_of_learned_positions_scores_a_row_as_it_would_alone(
    tokenizer: Any, tmp_path: Path, budget: int, adapters: bool
) -> None:
    torch.manual_seed(0)
    sizes = {"vocab_size": len(tokenizer), "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": PROMPT + COMPLETION}
    model = GPT2LMHeadModel(GPT2Config(**sizes, initializer_range=0.3, bos_token_id=1, eos_token_id=1)).eval()
    ids, mask = ragged(9, 3)
    alone = torch.zeros(ROWS, COMPLETION)
    for row in range(ROWS):
        tokens, scored = ids[row, mask[row] == 1], int(mask[row, PROMPT:].sum())
        found = model(tokens[None]).logits[0].log_softmax(dim=1).detach()
        alone[row, :scored] = found[-scored - 1 : -1].gather(1, tokens[-scored:, None])[:, 0]
    lora = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM") if adapters else None
    trainer = trainer_of(
        UsefulTokensTrainer, model, tokenizer, tmp_path, peft_config=lora, gradient_checkpointing=False
    )
    trainer._micro_batch_tokens = budget
    assert trainer.shares_prompts
    with torch.no_grad():
        logps, _, _ = trainer._get_per_token_logps_and_entropies(
            trainer.model.eval(), ids, mask, COMPLETION, batch_size=ROWS
        )
    torch.testing.assert_close(logps * mask[:, PROMPT:], alone, atol=1e-4, rtol=1e-4)


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


@pytest.fixture
def mixture(tokenizer: Any) -> Any:
    """A random mixture of experts."""
    torch.manual_seed(0)
    attention = {"num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 16}
    experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "router_aux_loss_coef": 0.1}
    words = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    return Qwen3MoeForCausalLM(Qwen3MoeConfig(hidden_size=32, intermediate_size=64, **attention, **experts, **words))


@pytest.mark.parametrize("loss", ["grpo", "dapo"])
def test_a_mixture_is_balanced_as_much_in_many_passes_as_in_one(
    mixture: Any, tokenizer: Any, tmp_path: Path, loss: str
) -> None:
    """All rewards are equal, so the only gradient is that of the load-balancing loss."""
    norms, passes = [], []
    for budget in (0, 120):
        run = trainer_of(
            UsefulTokensTrainer,
            mixture,
            tokenizer,
            tmp_path,
            scripted,
            lambda completion_ids, **_: [1.0] * len(completion_ids),
            per_device_train_batch_size=32,
            gradient_accumulation_steps=1,
            steps_per_generation=1,
            num_generations=8,
            max_completion_length=max(SPREAD),
            max_steps=1,
            beta=0.0,
            loss_type=loss,
            gradient_checkpointing=False,
            logging_steps=1,
        )
        run._micro_batch_tokens = budget
        run.train()
        (logged,) = (row for row in run.state.log_history if "loss" in row)
        norms.append(logged["grad_norm"])
        passes.append(logged["passes/count"])
    assert passes[0] == 1
    assert passes[1] > 5
    assert norms[1] == pytest.approx(norms[0], rel=0.2)  # each pass balances its own tokens


def test_the_passes_of_a_mixture_hold_no_more_than_their_budget(mixture: Any, tokenizer: Any, tmp_path: Path) -> None:
    ids, mask = ragged(9, 3)
    trainer = trainer_of(UsefulTokensTrainer, mixture, tokenizer, tmp_path, gradient_checkpointing=False)
    trainer._micro_batch_tokens = budget = 120
    read: list[torch.Size] = []
    trainer.model.model.layers[0].register_forward_hook(lambda _module, given, _found: read.append(given[0].shape[:2]))
    with torch.no_grad():
        trainer._get_per_token_logps_and_entropies(
            trainer.model, ids, mask, COMPLETION, batch_size=ROWS, compute_aux_loss=True
        )
    assert max(rows * width for rows, width in read) == trainer.largest_pass.positions <= budget
