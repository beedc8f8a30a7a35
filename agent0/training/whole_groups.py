"""Updates that hold whole groups.

TRL shuffles the trajectories of a generation batch before it cuts the batch into updates. Advantages add up to nothing
over a group, but not over the part of one that an update gets: of 48 trajectories in two updates, the first may mostly
push down. In large batches that evens out; in those of one machine it wears away what a model knows.

Relies on one private method and two attributes of TRL 1.16's `GRPOTrainer`; `tests/training/test_whole_groups.py` is
the contract.
"""

from __future__ import annotations

from typing import Any

from trl import GRPOTrainer
from trl.trainer.utils import split_tensor_dict


class WholeGroupsTrainer(GRPOTrainer):  # type: ignore[misc]
    """`GRPOTrainer` that cuts a generation batch in the order of its groups."""

    _buffered_inputs: list[dict[str, Any]] | None

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        if not self.model.training:
            return super()._prepare_inputs(generation_batch)
        passes = self.args.steps_per_generation
        if self._buffered_inputs is None or self._step % (passes * self.num_iterations) == 0:
            self._buffered_inputs = split_tensor_dict(self._generate_and_score_completions(generation_batch), passes)
        return self._buffered_inputs[self._step % passes]
