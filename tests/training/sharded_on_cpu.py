"""One process of a small GRPO training, sharded or not, on CPUs: `torchrun sharded_on_cpu.py JOB`.

Accelerate shards on accelerators only. It is told that these CPUs are some, after their process group is open; the
configuration, FSDP2 itself, the reference model and the checkpoints are the real ones. It goes on at the newest
checkpoint. The rollouts are scripted, since sharded weights do not draw by themselves.
"""

from __future__ import annotations

import json
import os
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
from agent0.storage.workspace import Workspace
from agent0.training.batch_division import BatchPlan
from agent0.training.checkpoint_keeper import CheckpointKeeper
from agent0.training.checkpoint_writer import CheckpointWriter
from agent0.training.checkpoints import complete_checkpoints
from agent0.training.export import export
from agent0.training.grpo import grpo_arguments
from agent0.training.training_job import TrainingJob
from agent0.training.useful_tokens import UsefulTokensTrainer

HISTORY_FILE = "history.json"


def rollout(prompts: list[str], trainer: Any) -> dict[str, Any]:
    """Return completions that depend on the step and their place in the whole batch; those of its end are short."""
    begin = trainer.accelerator.process_index * len(prompts)
    count = trainer.accelerator.num_processes * len(prompts)
    completions = []
    for place in range(begin, begin + len(prompts)):
        drawing = random.Random(trainer.state.global_step * 100 + place)
        completions.append([drawing.randrange(10, 300) for _ in range(3 if place >= count // 2 else 10)])
    prompt_ids = [trainer.processing_class(prompt).input_ids for prompt in prompts]
    return {"prompt_ids": prompt_ids, "completion_ids": completions, "logprobs": None}


def reward(completion_ids: list[list[int]], **_: Any) -> list[float]:
    """A reward with variance that depends on nothing but the tokens."""
    return [sum(ids) % 7 / 7 for ids in completion_ids]


def main(path: Path) -> None:
    """Train, and leave the history in the job's folder and the model in its output."""
    job = TrainingJob.read(path)
    plan = BatchPlan.of(job, int(os.environ["WORLD_SIZE"]))
    arguments = grpo_arguments(job, plan)
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
    found = complete_checkpoints(job.workspace)
    writer = CheckpointWriter(Workspace(job.workspace), 9, job.training.sharding)
    trainer.add_callback(CheckpointKeeper(job, writer, plan.updates))
    with writer.at_work():
        trainer.train(resume_from_checkpoint=str(found[-1]) if found else None)
    if trainer.accelerator.is_main_process:
        export(job, complete_checkpoints(job.workspace)[-1])
        names = {"layer": type(trainer.model.model.layers[0]).__name__}
        (job.folder / HISTORY_FILE).write_text(json.dumps([names, *trainer.state.log_history]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
