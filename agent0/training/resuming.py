"""A trainer that leaves weights and optimizer to whoever keeps its checkpoints, and takes them up again from there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trl import GRPOTrainer

from agent0.storage.atomic_file import write_json
from agent0.storage.text_files import read_object
from agent0.training.sharded_state import OPTIMIZER, read_state, read_weights, training_state

SCHEDULER_FILE = "scheduler.json"


class ResumableTrainer(GRPOTrainer):  # type: ignore[misc]
    """`GRPOTrainer` whose checkpoints hold `agent0.training.sharded_state` in the place of whole files.

    What it writes itself is small: its log, the schedule of the learning rate, the state of each process's random
    numbers. Under DeepSpeed everything stays as it is.

    Relies on four methods of transformers 5's `Trainer`; `tests/training/test_durability.py` is the contract.
    """

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Leave the weights alone; the arguments are the trainer's."""
        if self.is_deepspeed_enabled:
            super().save_model(output_dir, _internal_call)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if self.is_deepspeed_enabled:
            super()._save_optimizer_and_scheduler(output_dir)
        elif self.args.should_save:
            write_json(Path(output_dir) / SCHEDULER_FILE, self.lr_scheduler.state_dict())

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        read_weights(self.model if model is None else model, Path(resume_from_checkpoint))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None or self.is_deepspeed_enabled:
            super()._load_optimizer_and_scheduler(checkpoint)
            return
        read_state({OPTIMIZER: training_state(self.model, self.optimizer)[OPTIMIZER]}, Path(checkpoint))
        self.lr_scheduler.load_state_dict(read_object(Path(checkpoint) / SCHEDULER_FILE))
        for group, rate in zip(self.optimizer.param_groups, self.lr_scheduler.get_last_lr(), strict=True):
            group["lr"] = rate
