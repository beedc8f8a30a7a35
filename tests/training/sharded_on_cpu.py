"""One process of a small GRPO training, sharded or not, on CPUs: `torchrun sharded_on_cpu.py JOB [CHECKPOINT]`.

Accelerate shards on accelerators only. It is told that these CPUs are some, after their process group is open; the
configuration, FSDP2 itself, the reference model and the checkpoints are the real ones. The rollouts are scripted, since
sharded weights do not draw by themselves.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.utils import DistributedType
from datasets import Dataset
from transformers import PrinterCallback

import agent0.lean_transformers  # noqa: F401  # before anything that imports transformers
from agent0.rollout.model_folders import load_model
from agent0.training.batch_division import BatchPlan
from agent0.training.grpo import grpo_arguments
from agent0.training.training_job import TrainingJob
from agent0.training.useful_tokens import UsefulTokensTrainer

HISTORY_FILE = "history.json"


def rollout(prompts: list[str], trainer: Any) -> dict[str, Any]:
    """Return completions that depend on the step and the process only; those of the second process are short."""
    process = trainer.accelerator.process_index
    drawing = random.Random(trainer.state.global_step * 10 + process)
    completions = [[drawing.randrange(10, 300) for _ in range(3 if process else 10)] for _ in prompts]
    prompt_ids = [trainer.processing_class(prompt).input_ids for prompt in prompts]
    return {"prompt_ids": prompt_ids, "completion_ids": completions, "logprobs": None}


def reward(completion_ids: list[list[int]], **_: Any) -> list[float]:
    """A reward with variance that depends on nothing but the tokens."""
    return [sum(ids) % 7 / 7 for ids in completion_ids]


def main(path: Path, checkpoint: str | None) -> None:
    """Train, and leave the history in the job's folder."""
    job = TrainingJob.read(path)
    arguments = grpo_arguments(job, BatchPlan.of(job, 2))
    if job.training.sharding == "fsdp2":
        PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
    model, tokenizer = load_model(job.base, "float32")
    trainer = UsefulTokensTrainer(
        model=model,
        reward_funcs=[reward],
        args=arguments,
        train_dataset=Dataset.from_list([{"prompt": "solve 1+2"}] * 8),
        processing_class=tokenizer,
        rollout_func=rollout,
        micro_batch_tokens=job.training.micro_batch_tokens,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=checkpoint)
    if trainer.accelerator.is_main_process:
        names = {"layer": type(trainer.model.model.layers[0]).__name__}
        (job.folder / HISTORY_FILE).write_text(json.dumps([names, *trainer.state.log_history]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
