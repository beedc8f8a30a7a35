"""Whether a training needs no more memory than `agent0 plan` says, and how near its estimated rate is; needs a GPU.

The trainer of the executor agent trains models of real shapes with random weights, each in a process of its own, with a
recipe's types, lengths and checkpointing. Its trajectories are random tokens of full length, as the plan counts them.
Leaves out drawing, engines, several GPUs, and the KL term with its second copy of the weights. Prints a table for each
model; `--check` exits with 1 when one needs more than planned, or the plan says more than 1.5 times what it needs.

    python bench/plan.py Qwen3-1.7B Qwen3-8B:64 --check     # all weights of one, adapters of rank 64 of the other
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback, Qwen3Config, Qwen3ForCausalLM, TrainerCallback

from agent0.config import Config, TinyPretraining, load_config
from agent0.errors import UsageError
from agent0.planning.architecture import Architecture, architecture_of
from agent0.planning.gpu_memory import GIB, MARGIN, full_length, training_state
from agent0.planning.hardware import GPUS, Cluster, Gpu
from agent0.planning.throughput import Setting, training_rate
from agent0.planning.token_work import Lengths
from agent0.tiny.pretrain import _render
from agent0.tiny.tokenizer import train_tokenizer
from agent0.tiny.transcripts import draw_transcript
from agent0.training.adpo import ADPOTrainer
from agent0.training.batch_division import BatchPlan
from agent0.training.grpo import grpo_arguments, lora_configuration
from agent0.training.training_job import TrainingJob

CASES = ("Qwen3-1.7B", "Qwen3-1.7B:64")
GROUPS, GROUP_SIZE = 2, 4
LARGEST_RATIO = 1.5


@dataclass(frozen=True)
class Measured:
    """What a training took: GiB between two updates, at their peak, reserved by torch and outside it; tokens/s."""

    standing: float
    peak: float
    reserved: float
    context: float
    rate: float


@dataclass(frozen=True)
class Row:
    """One line of a table; a bar is the range that plan / measured must be in."""

    name: str
    plan: float
    measured: float
    bar: tuple[float, float] | None = None

    @property
    def met(self) -> bool:
        """Whether the plan is in its bar."""
        return self.bar is None or self.bar[0] <= self.plan / self.measured <= self.bar[1]

    def __str__(self) -> str:
        verdict = "" if self.bar is None else f"{self.bar[0]} to {self.bar[1]}  {'met' if self.met else 'MISSED'}"
        return f"  {self.name:24}{self.plan:10.1f}{self.measured:10.1f}{self.plan / self.measured:8.2f}  {verdict}"


class Meter(TrainerCallback):
    """Keeps when each update ended, and what the GPU held then."""

    def __init__(self) -> None:
        self.ends: list[float] = []
        self.standing = 0.0

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called after the gradients are dropped."""
        torch.cuda.synchronize()
        self.ends.append(time.perf_counter())
        self.standing = torch.cuda.memory_allocated() / GIB


def configuration(case: str, options: argparse.Namespace) -> Config:
    """Return the recipe's settings for one GPU, a small batch and the case's model."""
    model, _, rank = case.partition(":")
    recipe = load_config(options.recipe)
    return load_config(
        options.recipe,
        [
            f"model.source={model}",
            f"training.lora.rank={rank or 0}",
            "training.sharding=ddp",
            "training.policy_backend=transformers",
            f"executor.steps={options.batches}",
            f"executor.tasks_per_step={GROUPS}",
            f"executor.group_size={GROUP_SIZE}",
            f"training.micro_batch_tokens={options.micro_batch * full_length(recipe)}",
            "executor.kl_coefficient=0",
        ],
    )


def random_model(architecture: Architecture) -> Qwen3ForCausalLM:
    """Return a model of that shape, made on the GPU."""
    config = Qwen3Config(
        vocab_size=architecture.vocabulary,
        hidden_size=architecture.hidden,
        num_hidden_layers=architecture.layers,
        num_attention_heads=architecture.heads,
        num_key_value_heads=architecture.kv_heads,
        head_dim=architecture.head_dim,
        intermediate_size=architecture.intermediate,
        tie_word_embeddings=architecture.tied,
    )
    with torch.device("cuda"):
        return Qwen3ForCausalLM(config)


def train(config: Config, folder: Path) -> Measured:
    """Train on trajectories of full length and measure."""
    rng = random.Random(0)
    tokenizer = train_tokenizer([_render(draw_transcript(rng, TinyPretraining())) for _ in range(500)], 420)
    words = sorted(set(range(len(tokenizer))) - set(tokenizer.all_special_ids))
    job = TrainingJob(
        folder=folder, base=folder, output=folder, workspace=folder, model=config.model, rollout=config.rollout,
        sandbox=config.sandbox, algorithm=config.executor, agent="executor", training=config.training, seed=0,
    )  # fmt: skip
    plan = BatchPlan.of(job, 1)
    arguments = grpo_arguments(job, plan)
    arguments.save_strategy = "no"

    def trajectories(prompts: list[str], trainer: Any) -> dict[str, Any]:
        budget = config.rollout
        return {
            "prompt_ids": [rng.choices(words, k=budget.max_prompt_tokens) for _ in prompts],
            "completion_ids": [rng.choices(words, k=budget.max_response_tokens) for _ in prompts],
            "logprobs": None,
        }

    def reward(completion_ids: list[list[int]], **_: Any) -> list[float]:
        return [rng.random() for _ in completion_ids]

    meter = Meter()
    trainer = ADPOTrainer(
        model=random_model(architecture_of(config.model)).to(getattr(torch, config.model.dtype)),
        reward_funcs=[reward],
        args=arguments,
        train_dataset=Dataset.from_list([{"prompt": f"{n}", "self_consistency": 0.5} for n in range(plan.groups)]),
        processing_class=tokenizer,
        rollout_func=trajectories,
        peft_config=lora_configuration(job),
        callbacks=[meter],
        adpo=config.executor.adpo,
        micro_batch_tokens=config.training.micro_batch_tokens,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    free, total = torch.cuda.mem_get_info()
    warm = meter.ends[plan.updates - 1 :]  # the first batch's updates are left out
    tokens = plan.sequences // plan.updates * full_length(config)
    return Measured(
        standing=meter.standing,
        peak=torch.cuda.max_memory_allocated() / GIB,
        reserved=torch.cuda.max_memory_reserved() / GIB,
        context=(total - free - torch.cuda.memory_reserved()) / GIB,
        rate=tokens * (len(warm) - 1) / (warm[-1] - warm[0]),
    )


def planned(config: Config, gpu: Gpu) -> Measured:
    """Return what the plan says of the same training; torch may reserve the margin beyond what it uses."""
    architecture, rollout = architecture_of(config.model), config.rollout
    rows = GROUPS * GROUP_SIZE // config.executor.updates_per_step
    state = training_state(architecture, config, config.executor, rows, 1)
    standing = sum(gib for part, gib in state.standing.items() if part != "CUDA")
    peak = standing + sum(state.updating.values())
    lengths = Lengths(rollout.max_prompt_tokens, rollout.max_response_tokens)
    return Measured(
        standing=standing,
        peak=peak,
        reserved=peak + MARGIN * gpu.memory_gib,
        context=state.standing["CUDA"],
        rate=training_rate(Setting(architecture, config, Cluster(1, 1, gpu), lengths), "executor_training"),
    )


def rows(plan: Measured, measured: Measured) -> list[Row]:
    """Compare."""
    return [
        Row("between updates, GiB", plan.standing, measured.standing),
        Row("added by an update, GiB", plan.peak - plan.standing, measured.peak - measured.standing),
        Row("CUDA context, GiB", plan.context, measured.context),
        Row("together, GiB", plan.peak + plan.context, measured.peak + measured.context, (1.0, LARGEST_RATIO)),
        Row("with margin, GiB", plan.reserved + plan.context, measured.reserved + measured.context, (1.0, 2.0)),
        Row("tokens/s", plan.rate, measured.rate),
    ]


def gpu_here() -> Gpu:
    """Return the plan's entry for this machine's first GPU.

    Raises:
        UsageError: there is no GPU, or one that the plan does not know.
    """
    if not torch.cuda.is_available():
        raise UsageError("This benchmark trains on a GPU, and torch sees none here; run it on a machine that has one.")
    here = torch.cuda.get_device_properties(0)
    alike = [gpu for gpu in GPUS.values() if gpu.name.partition("-")[0] in here.name.replace("-", " ").split()]
    if not alike:
        raise UsageError(f"The plan does not know the GPU {here.name!r}, only {', '.join(GPUS)}.")
    return min(alike, key=lambda gpu: abs(gpu.memory_gib - here.total_memory / GIB))


def measured_in_a_child(case: str, arguments: Sequence[str]) -> Measured | None:
    """Run `train` in a process of its own; None where it fails, whose error is on stderr."""
    done = subprocess.run([sys.executable, __file__, "--child", case, *arguments], stdout=subprocess.PIPE, text=True)
    return Measured(**json.loads(done.stdout.splitlines()[-1])) if done.returncode == 0 else None


def report(case: str, config: Config, gpu: Gpu, arguments: Sequence[str]) -> bool:
    """Measure a case, print its table, and return whether its bars are met."""
    rank = config.training.lora.rank
    shape = f"{config.training.micro_batch_tokens} tokens a pass, rows of {full_length(config)}"
    print(f"{config.model.source}, {f'adapters of rank {rank}' if rank else 'all weights'}, {shape}, on one {gpu.name}")
    plan = planned(config, gpu)
    if plan.reserved + plan.context > gpu.memory_gib:
        print(f"  left out: the plan says {plan.peak + plan.context:.1f} GiB, which does not fit", flush=True)
        return True
    measured = measured_in_a_child(case, arguments)
    if measured is None:
        print("  FAILED, though the plan says that it fits", flush=True)
        return False
    table = rows(plan, measured)
    print(f"  {'':24}{'plan':>10}{'measured':>10}{'ratio':>8}", *table, sep="\n", flush=True)
    return all(row.met for row in table)


def main() -> None:
    """Measure, print, and judge where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=CASES, metavar="MODEL[:RANK]", help=f"default: {' '.join(CASES)}")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar is missed")
    parser.add_argument("--recipe", default="qwen3-8b", help="whose types, lengths and checkpointing")
    parser.add_argument("--micro-batch", type=int, default=4, help="sequences of full length per forward pass")
    parser.add_argument("--batches", type=int, default=3, help="generation batches, each of two updates")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    passed_on = [f"--recipe={options.recipe}", f"--micro-batch={options.micro_batch}", f"--batches={options.batches}"]
    try:
        gpu, configurations = gpu_here(), {case: configuration(case, options) for case in options.cases}
    except UsageError as error:
        parser.error(str(error))
    if options.child:
        with tempfile.TemporaryDirectory(prefix="agent0-plan-") as folder:
            print(json.dumps(asdict(train(configurations[options.cases[0]], Path(folder)))))
        return
    met = [report(case, config, gpu, passed_on) for case, config in configurations.items()]
    if options.check and not all(met):
        sys.exit(1)


if __name__ == "__main__":
    main()
