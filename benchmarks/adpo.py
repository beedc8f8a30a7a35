"""How much longer a step of ADPO takes than TRL's GRPO step, at batch 64 on a model of the embedded world's size.

Two trainings take turns, step by step, with the same seed for both steps of a pair; which of them comes first changes
from pair to pair, since the second finds warmer caches. Prints the median of the pairs'
ratios with a bootstrapped 95 % interval; `--check` exits with 1 when the whole step misses its bar. Leaves out whether
ADPO computes the right thing, which `tests/training/test_adpo.py` shows.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import threading
import time
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from agent0.config import ADPOSettings, TinyPretraining
from agent0.tiny.pretrain import _new_model, _render
from agent0.tiny.tokenizer import train_tokenizer
from agent0.tiny.transcripts import draw_transcript
from agent0.training.adpo import ADPOTrainer

BATCH = 64
BAR = 1.02


class Order:
    """Whose step it is: each training has one step in each pair, and goes first in every other pair."""

    def __init__(self) -> None:
        self._steps = 0
        self._changed = threading.Condition()

    def wait_for(self, training: int) -> None:
        """Wait until training 0 or 1 may step."""
        with self._changed:
            self._changed.wait_for(lambda: (self._steps // 2 + self._steps) % 2 == training)

    def done(self) -> None:
        """Let the next step begin."""
        with self._changed:
            self._steps += 1
            self._changed.notify_all()


class Turns(TrainerCallback):
    """Lets a training step in its turn, and keeps each step's seconds, whole and without generation."""

    def __init__(self, order: Order, training: int) -> None:
        self._order, self._training = order, training
        self._has_turn = False
        self.whole: list[float] = []
        self.rest: list[float] = []
        self.generating = 0.0

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Wait for the turn; both trainings of a pair then draw alike."""
        self._give_turn_back()
        self._order.wait_for(self._training)
        self._has_turn = True
        torch.manual_seed(state.global_step)
        self.generating = 0.0
        self._began = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take the time; the turn is kept for what follows a step, so that it disturbs nobody's measurement."""
        seconds = time.perf_counter() - self._began
        self.whole.append(seconds)
        self.rest.append(seconds - self.generating)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Let the other training end."""
        self._give_turn_back()

    def _give_turn_back(self) -> None:
        if self._has_turn:
            self._has_turn = False
            self._order.done()


def trainer(kind: Any, folder: str, steps: int, turns: Turns, **extra: Any) -> Any:
    """A training of `kind` whose generation is timed."""
    rng = random.Random(0)
    tokenizer = train_tokenizer([_render(draw_transcript(rng, TinyPretraining())) for _ in range(500)], 420)
    torch.manual_seed(0)
    rows = [{"prompt": f"What is {n}+{n}?", "self_consistency": 0.3 + n % 6 / 10} for n in range(BATCH // 16 * steps)]

    def reward(completion_ids: list[list[int]], **_: Any) -> list[float]:
        return [sum(ids) % 7 / 7 for ids in completion_ids]

    class Timed(kind):  # type: ignore[misc, valid-type]
        def _generate(self, *args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            result = super()._generate(*args, **kwargs)
            turns.generating += time.perf_counter() - began
            return result

    arguments = GRPOConfig(
        output_dir=folder, use_cpu=True, max_steps=steps, per_device_train_batch_size=BATCH, num_generations=16,
        max_completion_length=32, learning_rate=1e-9, beta=0.0, save_strategy="no", report_to=[], disable_tqdm=True,
    )  # fmt: skip
    model = _new_model(TinyPretraining(), tokenizer)
    run = Timed(
        model=model, reward_funcs=[reward], args=arguments, train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer, **extra,
    )  # fmt: skip
    run.remove_callback(PrinterCallback)
    run.add_callback(turns)
    return run


def train(run: Any) -> None:
    """Train on one core: threads of torch that wait for a busy machine's cores would be what is measured."""
    torch.set_num_threads(1)
    run.train()


def interval(ratios: list[float]) -> tuple[float, float, float]:
    """The median and its bootstrapped 95 % interval."""
    rng = random.Random(0)
    medians = sorted(statistics.median(rng.choices(ratios, k=len(ratios))) for _ in range(2000))
    return statistics.median(ratios), medians[50], medians[1949]


def main() -> None:
    """Measure, print, and judge where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit with 1 when the bar is missed")
    parser.add_argument("--pairs", type=int, default=100, help="measured pairs of steps")
    parser.add_argument("--warm-up", type=int, default=5, help="pairs left out at the beginning")
    options = parser.parse_args()
    steps = options.pairs + options.warm_up
    order = Order()
    plain, ours = Turns(order, 0), Turns(order, 1)
    with tempfile.TemporaryDirectory() as folder:
        runs = [
            trainer(GRPOTrainer, folder, steps, plain),
            trainer(ADPOTrainer, folder, steps, ours, adpo=ADPOSettings()),
        ]
        threads = [threading.Thread(target=train, args=(run,), daemon=True) for run in runs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    met = True
    for name, grpo, adpo in (("whole step", plain.whole, ours.whole), ("after generation", plain.rest, ours.rest)):
        grpo, adpo = grpo[options.warm_up :], adpo[options.warm_up :]
        ratio, low, high = interval([a / g for a, g in zip(adpo, grpo, strict=True)])
        milliseconds = f"{statistics.median(grpo) * 1e3:8.1f} ms {statistics.median(adpo) * 1e3:8.1f} ms"
        bar = f"<= {BAR} {'met' if ratio <= BAR else 'MISSED'}" if name == "whole step" else ""
        met = met and (not bar or ratio <= BAR)
        print(f"{name:20}{milliseconds}   ratio {ratio:.4f} [{low:.4f}, {high:.4f}]  {bar}")
    if options.check and not met:
        sys.exit(1)


if __name__ == "__main__":
    main()
