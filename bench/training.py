"""How much less a CPU computes for the executor's updates than TRL's own trainer, which pads, and what it costs.

    python bench/training.py [--check]

A Llama with random weights trains on the same generation batches by TRL's `GRPOTrainer` and by ours, old and reference
log-probabilities included: 8 tasks by 8 trajectories, two updates a batch. Trajectories are scripted. Their lengths
are drawn from a log-normal spread with a mean of a quarter of the limit, as completions of language models are spread;
in the case `short`, which is the recipe `smollm2`'s, from a narrow one. TRL has micro-batches of four rows, ours passes
of as many tokens as four rows of full length have, so that neither needs more memory.

Useful are the tokens of all rows by the positions computed for them, more than all where prompts are read once.
Seconds are those of this process's CPU with one thread, the two trainers turn by turn in one process. Memory is what
one pass keeps for its backward pass. With --check it exits with 1 when a bar is missed. Leaves out drawing.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from adpo import small_tokenizer
from datasets import Dataset
from rich.console import Console
from rich.table import Table
from transformers import LlamaConfig, LlamaForCausalLM, PrinterCallback
from trl import GRPOConfig, GRPOTrainer

from agent0.config import ADPOSettings
from agent0.training.adpo import ADPOTrainer

TASKS, GROUP, UPDATES, MICRO_BATCH = 8, 8, 2, 4
SHAPE = {"hidden_size": 128, "intermediate_size": 352, "num_hidden_layers": 4, "num_attention_heads": 4}
VOCABULARY = 2048
LEAST_USEFUL = 0.9
LARGEST_DIFFERENCE = 1e-6
LARGEST_MEMORY = 1.0


@dataclass(frozen=True)
class Case:
    """Lengths, whether activations are recomputed, and what must be reached."""

    name: str
    prompt: tuple[int, int]
    limit: int
    mean: float
    spread: float
    checkpointing: bool
    least_ratio: float

    def lengths(self, rng: random.Random, count: int) -> list[int]:
        """Draw the lengths of completions; the longest of a batch has the limit, as one of some hundred real ones."""
        drawn = [rng.lognormvariate(0.0, self.spread) for _ in range(count)]
        scale = self.mean * self.limit * count / sum(drawn)
        cut = [max(1, min(self.limit, round(length * scale))) for length in drawn]
        return [self.limit if length == max(cut) else length for length in cut]


CASES = (
    Case("spread", (30, 90), 384, 0.25, 0.8, False, 1.9),
    Case("spread, recomputed", (30, 90), 384, 0.25, 0.8, True, 1.9),
    Case("short", (110, 150), 38, 0.75, 0.1, False, 1.5),
)


@dataclass(frozen=True)
class Training:
    """What a training took and came to."""

    seconds: float
    weights: torch.Tensor
    useful: float
    kept_bytes: int


class Kept:
    """The bytes that autograd keeps for backward passes, parameters left out, and the most at any time."""

    def __init__(self) -> None:
        self.most = self._now = 0
        self._holders: Counter[int] = Counter()

    def pack(self, tensor: torch.Tensor) -> Any:
        """Called by autograd for each tensor that it keeps; views of one storage count once.

        What is held is detached: a result that holds the step which made it keeps that step for good, where no backward
        pass comes to it, as none does to what a prompt that is read once is not used for.
        """
        whole = tensor if tensor._base is None else tensor._base
        if whole.is_leaf and whole.requires_grad:
            return tensor.detach()
        storage = tensor.untyped_storage()
        return _Held(self, tensor.detach(), storage.data_ptr(), storage.nbytes())

    def take(self, place: int, size: int) -> None:
        """Count one more holder of a storage."""
        self._now += 0 if self._holders[place] else size
        self._holders[place] += 1
        self.most = max(self.most, self._now)

    def give_back(self, place: int, size: int) -> None:
        """Count one less."""
        self._holders[place] -= 1
        self._now -= 0 if self._holders[place] else size


class _Held:
    def __init__(self, kept: Kept, tensor: torch.Tensor, place: int, size: int) -> None:
        self.tensor = tensor
        self._kept, self._place, self._size = kept, place, size
        kept.take(place, size)

    def __del__(self) -> None:
        self._kept.give_back(self._place, self._size)


def unpack(held: Any) -> torch.Tensor:
    """Return a tensor that autograd kept."""
    tensor: torch.Tensor = held.tensor if isinstance(held, _Held) else held
    return tensor


def train(case: Case, ours: bool, base: Path, tokenizer: Any, measures_memory: bool) -> Training:
    """Train one generation batch of two updates."""
    rng = random.Random(0)
    prompts = [[rng.randrange(3, VOCABULARY) for _ in range(rng.randint(*case.prompt))] for _ in range(TASKS)]
    lengths = case.lengths(rng, TASKS * GROUP)
    completions = [[rng.randrange(3, VOCABULARY) for _ in range(length)] for length in lengths]

    def scripted(rows: list[str], trainer: Any) -> dict[str, Any]:
        prompt_ids = [prompts[number // GROUP] for number in range(len(rows))]
        return {"prompt_ids": prompt_ids, "completion_ids": completions, "logprobs": None}

    def reward(completion_ids: list[list[int]], **_: Any) -> list[float]:
        return [sum(ids) % 7 / 7 for ids in completion_ids]

    rows = TASKS * GROUP // UPDATES
    micro_batch = rows if ours else MICRO_BATCH
    options = {"adpo": ADPOSettings(enabled=False), "micro_batch_tokens": MICRO_BATCH * (case.prompt[1] + case.limit)}
    trainer = (ADPOTrainer if ours else GRPOTrainer)(
        model=LlamaForCausalLM.from_pretrained(base), reward_funcs=[reward], processing_class=tokenizer,
        train_dataset=Dataset.from_list([{"prompt": f"{number}"} for number in range(TASKS)]), rollout_func=scripted,
        args=GRPOConfig(
            output_dir=str(base / "out"), use_cpu=True, bf16=False, report_to=[], disable_tqdm=True, save_strategy="no",
            logging_steps=1, learning_rate=1e-6, beta=0.01, loss_type="grpo", max_steps=UPDATES, num_generations=GROUP,
            max_completion_length=case.limit, gradient_checkpointing=case.checkpointing, shuffle_dataset=False,
            per_device_train_batch_size=micro_batch, gradient_accumulation_steps=rows // micro_batch,
            steps_per_generation=UPDATES * (rows // micro_batch),
        ), **(options if ours else {}),
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    kept = Kept()
    begun = time.process_time()
    if measures_memory:
        with torch.autograd.graph.saved_tensors_hooks(kept.pack, unpack):
            trainer.train()
    else:
        trainer.train()
    seconds = time.process_time() - begun
    shares = [row["passes/useful_tokens"] for row in trainer.state.log_history if "passes/useful_tokens" in row]
    tokens = sum(lengths) + sum(GROUP * len(prompt) for prompt in prompts)
    padded = len(lengths) * (max(map(len, prompts)) + max(lengths))
    weights = torch.cat([each.detach().flatten() for each in trainer.model.parameters()])
    return Training(seconds, weights, statistics.mean(shares) if ours else tokens / padded, kept.most)


def measured(case: Case, turns: int, tokenizer: Any, folder: Path) -> tuple[list[str], bool]:
    """Return a case's row of the table, and whether its bars are met."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=VOCABULARY, num_key_value_heads=2, tie_word_embeddings=True, **SHAPE)
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    before = torch.cat([each.detach().flatten() for each in model.parameters()])
    theirs_kept, ours_kept = (train(case, ours, folder, tokenizer, True).kept_bytes for ours in (False, True))
    pairs = [[train(case, ours, folder, tokenizer, False) for ours in (False, True)] for _ in range(turns)]
    ratio = statistics.median(theirs.seconds / ours.seconds for theirs, ours in pairs)
    theirs, ours = pairs[-1]
    distance = (ours.weights - theirs.weights).norm().item()
    difference, moved = distance / before.norm().item(), distance / (theirs.weights - before).norm().item()
    memory = ours_kept / theirs_kept
    met = (
        ratio >= case.least_ratio
        and ours.useful >= LEAST_USEFUL
        and difference <= LARGEST_DIFFERENCE
        and memory <= LARGEST_MEMORY
    )
    row = [
        case.name, f"{theirs.seconds:.1f}", f"{ours.seconds:.1f}", f"{ratio:.2f} (≥ {case.least_ratio})",
        f"{theirs.useful:.0%}", f"{ours.useful:.0%} (≥ {LEAST_USEFUL:.0%})",
        f"{theirs_kept / 1e6:.0f}", f"{ours_kept / 1e6:.0f} (≤)", f"{difference:.0e} (≤ {LARGEST_DIFFERENCE:.0e})",
        f"{moved:.0e}", "met" if met else "MISSED",
    ]  # fmt: skip
    return row, met


def main() -> int:
    """Measure, print, and judge where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar is missed")
    parser.add_argument("--turns", type=int, default=2, help="measured pairs of trainings")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table = Table(title="one batch of two updates: TRL's trainer, then ours", title_justify="left")
    for column in (
        "lengths", "CPU s", "CPU s", "ratio", "useful", "useful", "MB kept", "MB kept", "weights differ",
        "by the update", "bars",
    ):  # fmt: skip
        table.add_column(column, justify="right")
    tokenizer, every = small_tokenizer(), []
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            row, met = measured(case, arguments.turns, tokenizer, Path(folder))
        table.add_row(*row)
        every.append(met)
    Console(width=160).print(table)
    return int(arguments.check and not all(every))


if __name__ == "__main__":
    sys.exit(main())
