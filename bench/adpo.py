"""How much longer a step of ADPO takes than TRL's GRPO step, at batch 64 on a model of the embedded world's size.

One training switches ADPO on and off from step to step, so that both kinds of step have the same process, memory and
model; two trainings side by side differ by several per cent for no reason of their own. Switched off it is TRL's step,
bit for bit (`tests/training/test_adpo.py`). The two steps of a pair have the same prompts and seed, and which kind
comes first changes from pair to pair. Prints the median of the pairs' ratios with a bootstrapped 95 % interval;
`--check` exits with 1 when the whole step misses its bar.
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
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback
from trl import GRPOConfig

from agent0.config import ADPOSettings, TinyPretraining
from agent0.tiny.pretrain import _new_model, _render
from agent0.tiny.tokenizer import train_tokenizer
from agent0.tiny.transcripts import draw_transcript
from agent0.training.adpo import ADPOTrainer

BATCH, GROUP = 64, 16
BAR = 1.02


class Alternation(TrainerCallback):
    """Switches ADPO on for one step of each pair, and keeps each step's seconds, whole and without generation."""

    def __init__(self) -> None:
        self.trainer: Any = None
        self.generating = 0.0
        self.whole: dict[bool, list[float]] = {True: [], False: []}
        self.rest: dict[bool, list[float]] = {True: [], False: []}

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Choose the kind of the step; both steps of a pair then draw alike."""
        pair, place = divmod(state.global_step, 2)
        self.trainer.adpo = ADPOSettings(enabled=(pair + place) % 2 == 1)
        torch.manual_seed(pair)
        self.generating = 0.0
        self._began = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take the time."""
        seconds = time.perf_counter() - self._began
        self.whole[self.trainer.adpo.enabled].append(seconds)
        self.rest[self.trainer.adpo.enabled].append(seconds - self.generating)


class Timed(ADPOTrainer):
    """Tells how long it generates."""

    timing: Alternation

    def _generate(self, *args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        result = super()._generate(*args, **kwargs)
        self.timing.generating += time.perf_counter() - began
        return result


def training(folder: str, pairs: int, timing: Alternation) -> Timed:
    """Return a training of `pairs` pairs of steps."""
    tokenizer = small_tokenizer()
    torch.manual_seed(0)
    groups = BATCH // GROUP
    rows = [
        {"prompt": f"What is {n}+{n}?", "self_consistency": 0.3 + n % 6 / 10}
        for pair in range(pairs)
        for _ in range(2)
        for n in range(pair * groups, (pair + 1) * groups)
    ]

    def reward(completion_ids: list[list[int]], **_: Any) -> list[float]:
        return [sum(ids) % 7 / 7 for ids in completion_ids]

    arguments = GRPOConfig(
        output_dir=folder, use_cpu=True, max_steps=2 * pairs, per_device_train_batch_size=BATCH, num_generations=GROUP,
        max_completion_length=32, learning_rate=1e-9, beta=0.0, shuffle_dataset=False, save_strategy="no",
        report_to=[], disable_tqdm=True,
    )  # fmt: skip
    run = Timed(
        model=_new_model(TinyPretraining(), tokenizer), reward_funcs=[reward], args=arguments,
        train_dataset=Dataset.from_list(rows), processing_class=tokenizer, adpo=ADPOSettings(),
    )  # fmt: skip
    run.timing = timing
    timing.trainer = run
    run.remove_callback(PrinterCallback)
    run.add_callback(timing)
    return run


def small_tokenizer() -> Any:
    """Return a tokenizer of the embedded world."""
    rng = random.Random(0)
    return train_tokenizer([_render(draw_transcript(rng, TinyPretraining())) for _ in range(500)], 420)


def interval(ratios: list[float]) -> tuple[float, float, float]:
    """The median and its bootstrapped 95 % interval."""
    rng = random.Random(0)
    medians = sorted(statistics.median(rng.choices(ratios, k=len(ratios))) for _ in range(2000))
    return statistics.median(ratios), medians[50], medians[1949]


def main() -> None:
    """Measure, print, and judge where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit with 1 when the bar is missed")
    parser.add_argument("--pairs", type=int, default=100, help="measured pairs of steps")
    parser.add_argument("--warm-up", type=int, default=5, help="pairs left out at the beginning")
    options = parser.parse_args()
    torch.set_num_threads(1)
    timing = Alternation()
    with tempfile.TemporaryDirectory() as folder:
        training(folder, options.pairs + options.warm_up, timing).train()
    met = True
    for name, seconds in (("whole step", timing.whole), ("after generation", timing.rest)):
        grpo, adpo = seconds[False][options.warm_up :], seconds[True][options.warm_up :]
        ratio, low, high = interval([a / g for a, g in zip(adpo, grpo, strict=True)])
        milliseconds = f"{statistics.median(grpo) * 1e3:8.1f} ms {statistics.median(adpo) * 1e3:8.1f} ms"
        bar = f"<= {BAR} {'met' if ratio <= BAR else 'MISSED'}" if name == "whole step" else ""
        met = met and (not bar or ratio <= BAR)
        print(f"{name:20}{milliseconds}   ratio {ratio:.4f} [{low:.4f}, {high:.4f}]  {bar}")
    if options.check and not met:
        sys.exit(1)


if __name__ == "__main__":
    main()
