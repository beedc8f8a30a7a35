"""Turns at a vLLM engine of our own in the training process, where adapters are trained.

The engine holds the base model and gets, before each of the policy's turns, the adapters alone: nothing is merged, and
TRL, which would send all weights, is told of no engine. Between two turns it sleeps, with its weights in the host's
memory. A frozen model that draws from it replaces the base model's weights for its turn; they come back from the base
model's folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from agent0.planning.gpu_memory import COLOCATED_BATCHED_TOKENS
from agent0.rollout.vllm_adapters import adapter_arguments, load_adapter
from agent0.rollout.vllm_backend import started_llm
from agent0.rollout.vllm_environment import engine_arguments, environment
from agent0.rollout.vllm_version import require_vllm
from agent0.training.adapter_handover import ADAPTERS_FOLDER, AdapterHandover
from agent0.training.batch_division import BatchPlan
from agent0.training.engine_memory import engine_share
from agent0.training.engine_turns import EngineTurns, drawing, load_weights
from agent0.training.training_job import TrainingJob

KEPT_ASLEEP = 1
"""vLLM's level of sleep at which weights go to the host's memory, and come back when it wakes."""


class AdapterTurns(EngineTurns):
    """Wakes the engine with the model of whose turn it is, and with the adapters where it is the policy's."""

    def __init__(self, llm: Any, handover: AdapterHandover, base: Path, sleeps: bool, seed: int | None = None) -> None:
        super().__init__(seed)
        self._llm = llm
        self._handover = handover
        self._base = base
        self._sleeps = sleeps
        self._replaced = False
        self._fall_asleep()

    @contextmanager
    def policy(self, trainer: Any) -> Iterator[Any]:
        """Yield the engine with the adapters that TRL's `trainer` has now, which `adapter` names.

        Raises:
            UsageError: the engine refuses them.
        """
        self._trainer = trainer
        self.adapter = self._handover.publish(trainer)
        self._wake()
        if self._replaced:
            load_weights(self._llm, self._base)
            self._replaced = False
        load_adapter(self._llm, self.adapter)
        self._reseed(self._llm, "policy")
        with drawing(self._llm, self._sleeps, KEPT_ASLEEP):
            yield self._llm

    @contextmanager
    def frozen(self, weights: Path) -> Iterator[Any]:
        """Yield the engine with the weights in a model's folder, and no adapters; see `EngineTurns.frozen`."""
        self._wake()
        self._replaced = True
        load_weights(self._llm, weights)
        self._reseed(self._llm, "frozen")
        with drawing(self._llm, self._sleeps, KEPT_ASLEEP):
            yield self._llm

    def _wake(self) -> None:
        if self._sleeps:
            torch.cuda.empty_cache()  # what torch keeps for later is memory that the engine wakes up into
            self._llm.wake_up(tags=["weights"])

    def _fall_asleep(self) -> None:
        if self._sleeps:
            self._llm.sleep(level=KEPT_ASLEEP)


@contextmanager
def open_turns(job: TrainingJob, plan: BatchPlan) -> Iterator[EngineTurns]:
    """Open the turns at this process's engine: TRL's, or one of our own where a job hands adapters to one."""
    seed = None if job.rollout.vllm.seeded else job.drawing_seed
    if not (job.training.sends_adapters and job.training.policy_backend == "vllm"):
        yield EngineTurns(seed)
        return
    installed, gpu = require_vllm(), torch.cuda.is_available()
    sleeps = job.training.colocated_sleep and gpu
    arguments: dict[str, Any] = {
        **engine_arguments(job.rollout, installed),
        **adapter_arguments(job.training.lora.engine_rank),
        "max_num_seqs": plan.rows * plan.updates,
        "enable_sleep_mode": sleeps,
        "tensor_parallel_size": 1,
    }
    if gpu:
        arguments |= {
            "gpu_memory_utilization": engine_share(job, plan),
            "max_num_batched_tokens": COLOCATED_BATCHED_TOKENS,
        }
    if "RANK" in os.environ:  # the engine joins torchrun's processes, and takes this one's GPU
        arguments["distributed_executor_backend"] = "external_launcher"
    variables = {**environment(installed, None), "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
    with started_llm(job.base, arguments, variables) as llm:
        yield AdapterTurns(llm, AdapterHandover(job.folder / ADAPTERS_FOLDER), job.base, sleeps, seed)
