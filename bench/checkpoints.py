"""How long a sharded training is held by a checkpoint that is written behind its back, and by one that it waits for.

    python bench/checkpoints.py [--turns 6] [--check]

A model of 43 million random weights (172 MB, and 516 MB with the optimizer's moments) is trained by the trainer of both
agents, shared out by FSDP2 over two processes of this machine, which talk by gloo. After each update a checkpoint is
made by the code of a training: in turn behind the trainer's back, and with the trainer waiting for it. So both kinds
write the same files to the same disk in the same run. Held is the time from the end of an update to the beginning of
what follows, and what the next update waits before it may change a weight, by the slower process. Checkpoints are taken
to be far enough apart that the one before is written. Printed are medians; `--check` exits with 1 where the trainer is
held for more than a tenth of the time. Leaves out GPUs, whose memory is copied from beside their work, and S3.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.utils import DistributedType
from adpo import small_tokenizer
from datasets import Dataset
from rich.console import Console
from rich.table import Table
from transformers import PrinterCallback, Qwen3Config, Qwen3ForCausalLM

from agent0.config import CheckpointSettings, ExecutorSettings, TrainingSettings
from agent0.rollout.model_folders import load_model, save_model
from agent0.storage.workspace import Workspace
from agent0.training.batch_division import BatchPlan
from agent0.training.checkpoint_keeper import CheckpointKeeper
from agent0.training.checkpoint_writer import CheckpointWriter
from agent0.training.checkpoints import complete_checkpoints
from agent0.training.grpo import grpo_arguments
from agent0.training.training_job import JOB_FILE, TrainingJob
from agent0.training.useful_tokens import UsefulTokensTrainer

PROCESSES = 2
SHAPE = {"hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 12, "num_attention_heads": 8}
ROWS, TOKENS = 4, 32
LARGEST_SHARE = 0.1
WARM_UP = 2
"""Checkpoints that are not counted: the first of each kind, which fill buffers."""


class TimedTrainer(UsefulTokensTrainer):
    """Says when a checkpoint began."""

    began = 0.0

    def _save_checkpoint(self, *args: Any) -> None:
        self.began = time.perf_counter()
        super()._save_checkpoint(*args)


class TimedKeeper(CheckpointKeeper):
    """Has every other checkpoint waited for, and keeps for each how long the trainer was held, and the whole of it."""

    trainer: TimedTrainer

    def __init__(self, job: TrainingJob, writer: CheckpointWriter, boundary: int) -> None:
        super().__init__(job, writer, boundary)
        self.writer = writer
        self.held: list[float] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Let the one before be written, at nobody's cost."""
        self.writer.finish()
        super().on_step_end(args, state, control, **kwargs)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin to write, and wait where it is the turn of that."""
        super().on_save(args, state, control, **kwargs)
        if len(self.held) % 2:
            self.writer.finish()
        self.held.append(time.perf_counter() - self.trainer.began)

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take the time of what still holds the update."""
        began = time.perf_counter()
        super().on_pre_optimizer_step(args, state, control, **kwargs)
        if self.held:
            self.held[-1] += time.perf_counter() - began


def scripted(prompts: list[str], trainer: Any) -> dict[str, Any]:
    """Return random completions: sharded weights do not draw by themselves."""
    drawing = random.Random(trainer.state.global_step)
    completions = [[drawing.randrange(10, 300) for _ in range(TOKENS)] for _ in prompts]
    prompt_ids = [trainer.processing_class(prompt).input_ids for prompt in prompts]
    return {"prompt_ids": prompt_ids, "completion_ids": completions, "logprobs": None}


def reward(completion_ids: list[list[int]], **_: Any) -> list[float]:
    """A reward that differs from row to row."""
    return [sum(ids) % 7 / 7 for ids in completion_ids]


def train(file: Path) -> None:
    """Train as one of the processes, and leave in the job's folder how long it was held."""
    job = TrainingJob.read(file)
    plan = BatchPlan.of(job, PROCESSES)
    arguments = grpo_arguments(job, plan)
    PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU  # accelerate shards on accelerators only
    model, tokenizer = load_model(job.base, "float32")
    trainer = TimedTrainer(
        model=model,
        reward_funcs=[reward],
        args=arguments,
        train_dataset=Dataset.from_list([{"prompt": "What is 1+2?"}] * job.updates),
        processing_class=tokenizer,
        rollout_func=scripted,
    )
    trainer.remove_callback(PrinterCallback)
    writer = CheckpointWriter(Workspace(job.workspace), 1, job.training.sharding)
    keeper = TimedKeeper(job, writer, plan.updates)
    keeper.trainer = trainer
    trainer.add_callback(keeper)
    with writer.at_work():
        trainer.train()
    (job.folder / f"held-{trainer.accelerator.process_index}.json").write_text(json.dumps(keeper.held))


def prepare(folder: Path, turns: int) -> TrainingJob:
    """Write a model with random weights, and the job that trains it."""
    tokenizer = small_tokenizer()
    config = Qwen3Config(vocab_size=4096, num_key_value_heads=8, head_dim=64, tie_word_embeddings=True, **SHAPE)
    save_model(Qwen3ForCausalLM(config), tokenizer, folder / "base")
    job = TrainingJob(
        folder=folder / "job",
        base=folder / "base",
        output=folder / "output",
        workspace=folder / "workspace",
        model={},
        rollout={"max_prompt_tokens": 32, "max_response_tokens": TOKENS, "max_observation_tokens": 8},
        sandbox={},
        algorithm=ExecutorSettings(steps=2 * turns + WARM_UP, tasks_per_step=1, group_size=ROWS, updates_per_step=1),
        agent="executor",
        training=TrainingSettings(sharding="fsdp2", checkpoints=CheckpointSettings(every=1)),
        seed=0,
    )
    job.write()
    return job


def measured(job: TrainingJob) -> tuple[list[float], list[float]]:
    """Train, and return the seconds that each checkpoint held the trainer: those written aside, those waited for."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={PROCESSES}"]
    run = subprocess.run(
        [*command, __file__, "--job", str(job.folder / JOB_FILE)], capture_output=True, text=True, check=False
    )
    if run.returncode:
        sys.exit(run.stderr)
    each = [json.loads((job.folder / f"held-{number}.json").read_text()) for number in range(PROCESSES)]
    slower = [max(held) for held in zip(*each, strict=True)][WARM_UP:]
    return slower[::2], slower[1::2]


def main() -> int:
    """Measure, print, and judge if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=6, help="checkpoints of each kind")
    parser.add_argument("--check", action="store_true", help="exit with 1 where the bar is missed")
    parser.add_argument("--job", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.job:
        train(arguments.job)
        return 0
    with tempfile.TemporaryDirectory() as name:
        job = prepare(Path(name), arguments.turns)
        aside, waited = measured(job)
        (checkpoint,) = complete_checkpoints(job.workspace)
        size = sum(path.stat().st_size for path in checkpoint.rglob("*") if path.is_file())
    share = statistics.median(aside) / statistics.median(waited)
    table = Table(title=f"A checkpoint of {size / 1e6:.0f} MB, by {PROCESSES} processes", title_justify="left")
    for column in ("written", "trainer held, s", "least", "most"):
        table.add_column(column, justify="left" if column == "written" else "right")
    for kind, seconds in (("behind its back", aside), ("waited for", waited)):
        table.add_row(kind, *(f"{value:.3f}" for value in (statistics.median(seconds), min(seconds), max(seconds))))
    console, met = Console(), share <= LARGEST_SHARE
    console.print(table)
    console.print(f"held {share:.1%} of the time, at most {LARGEST_SHARE:.0%}: {'met' if met else 'MISSED'}")
    return int(arguments.check and not met)


if __name__ == "__main__":
    sys.exit(main())
