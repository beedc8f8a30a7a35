"""How much less a CPU computes for an update when each prompt is read once and nothing is scored but completions.

    python bench/useful_tokens.py [--check]

A Llama of SmolLM2-135M's shape with random weights scores and differentiates the same generation batch by TRL's passes
and by ours: 3 groups of 8 rows, shuffled, prompts of 32 to 52 tokens and completions of 20 to 38, in micro-batches of
8 rows, as the recipe `smollm2` trains. Seconds are those of this process's CPU, both in one process with one thread,
turn by turn. Leaves out drawing, the optimizer and the reference. With --check it exits with 1 when the bar is missed.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from typing import Any

import torch
from adpo import small_tokenizer
from datasets import Dataset
from rich.console import Console
from rich.table import Table
from transformers import LlamaConfig, LlamaForCausalLM
from trl import GRPOConfig, GRPOTrainer
from trl.trainer.utils import split_tensor_dict

from agent0.training.useful_tokens import UsefulTokensTrainer

GROUPS, GROUP, MICRO_BATCH = 3, 8, 8
PROMPT, COMPLETION = (32, 52), (20, 38)
VOCABULARY = 49_152
TURNS = 2
BAR = 1.5


def main() -> int:
    """Measure, print, and judge where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit with 1 when the bar is missed")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    parts = list(split_tensor_dict(generation_batch(), GROUPS * GROUP // MICRO_BATCH))
    with tempfile.TemporaryDirectory() as folder:
        padded, useful = trainers(folder)
        cpu_seconds(padded, parts[:1])  # the first pass of a process is slower
        taken = [(cpu_seconds(padded, parts), cpu_seconds(useful, useful._dealt_anew(parts))) for _ in range(TURNS)]
    ratio = statistics.median(theirs / ours for theirs, ours in taken)
    table = Table(title="CPU seconds of the passes of one update", title_justify="left")
    for column in ("turn", "TRL", "useful tokens", "ratio"):
        table.add_column(column, justify="right")
    for turn, (theirs, ours) in enumerate(taken, start=1):
        table.add_row(str(turn), f"{theirs:.1f}", f"{ours:.1f}", f"{theirs / ours:.2f}")
    Console().print(table)
    print(f"median ratio {ratio:.2f}, bar {BAR}")
    return int(arguments.check and ratio < BAR)


def generation_batch() -> dict[str, torch.Tensor]:
    """Return groups of rows as TRL pads and shuffles them."""
    rng = random.Random(0)
    rows = GROUPS * GROUP
    prompt_mask = torch.zeros(rows, PROMPT[1], dtype=torch.long)
    completion_mask = torch.zeros(rows, COMPLETION[1], dtype=torch.long)
    prompt_ids = torch.zeros_like(prompt_mask)
    torch.manual_seed(0)
    for group in range(GROUPS):
        length = rng.randint(*PROMPT)
        of_group = slice(group * GROUP, (group + 1) * GROUP)
        prompt_mask[of_group, -length:] = 1
        prompt_ids[of_group, -length:] = torch.randint(3, VOCABULARY, (length,))
    for row in range(rows):
        completion_mask[row, : rng.randint(*COMPLETION)] = 1
    completion_ids = torch.randint(3, VOCABULARY, completion_mask.shape) * completion_mask
    order = torch.randperm(rows)
    batch = {
        "prompt_ids": prompt_ids,
        "prompt_mask": prompt_mask,
        "completion_ids": completion_ids,
        "completion_mask": completion_mask,
    }
    return {name: value[order] for name, value in batch.items()}


def trainers(folder: str) -> tuple[GRPOTrainer, UsefulTokensTrainer]:
    """Return TRL's trainer and ours, of one model."""
    tokenizer = small_tokenizer()
    shape = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
        num_key_value_heads=3, tie_word_embeddings=True,
    )  # fmt: skip
    model = LlamaForCausalLM(shape)

    def of(kind: Any) -> Any:
        return kind(
            model=model, reward_funcs=[lambda completion_ids, **_: [0.0] * len(completion_ids)],
            args=GRPOConfig(output_dir=folder, use_cpu=True, bf16=False, gradient_checkpointing=False, report_to=[]),
            train_dataset=Dataset.from_list([{"prompt": "solve"}]), processing_class=tokenizer,
        )  # fmt: skip

    return of(GRPOTrainer), of(UsefulTokensTrainer)


def cpu_seconds(trainer: Any, parts: list[dict[str, torch.Tensor]]) -> float:
    """Return the CPU seconds in which a trainer scores and differentiates these micro-batches."""
    begun = time.process_time()
    for part in parts:
        ids = torch.cat([part["prompt_ids"], part["completion_ids"]], dim=1)
        mask = torch.cat([part["prompt_mask"], part["completion_mask"]], dim=1)
        width = part["completion_ids"].shape[1]
        scores, _, _ = trainer._get_per_token_logps_and_entropies(trainer.model, ids, mask, width, compute_entropy=True)
        (scores * part["completion_mask"]).mean().backward()
    trainer.model.zero_grad()
    return time.process_time() - begun


if __name__ == "__main__":
    sys.exit(main())
