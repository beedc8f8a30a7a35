"""Turns at the vLLM engine that TRL holds in the training process: the model in training, and a frozen one.

TRL sends the weights of the model in training before each generation batch. The frozen model's turn loads its own into
the same engine, so that one GPU can train the curriculum agent and draw the frozen executor's votes; after it TRL sends
the weights of the model in training once more. Whatever the engine remembers of texts read with other weights is
dropped with each change, and between two turns it sleeps if it may.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open

from agent0.config import CurriculumSettings, RolloutSettings
from agent0.errors import Agent0Error
from agent0.rollout.drawing_watch import Watch
from agent0.rollout.engine import Session
from agent0.rollout.vllm_adapters import Adapter
from agent0.rollout.vllm_backend import VllmBackend
from agent0.seeds import derive_seed
from agent0.training.canary import WeightCanary

WITHOUT_WEIGHTS = 2
"""vLLM's level of sleep at which weights are given up."""
NO_STEP = -1
"""What TRL's `_last_loaded_step` holds as long as the engine has no weights of the model in training."""


class EngineTurns:
    """Wakes the engine with the weights of whose turn it is, and puts it back to sleep.

    The first turn is the policy's; a frozen model's comes after it, when there are proposals to solve.

    Args:
        seed: of the engine's own stream, made another one for each turn, update and process; None where all that is
            drawn brings a seed of its own.
    """

    adapter: Adapter | None = None
    """Adapters with which the policy draws, if the engine has the base model's weights."""

    def __init__(self, seed: int | None = None) -> None:
        self.canary = WeightCanary()
        self._trainer: Any = None
        self._seed = seed

    @contextmanager
    def policy(self, trainer: Any) -> Iterator[Any]:
        """Yield the engine of TRL's `trainer` with the weights that it has sent, as TRL's own `generate` would."""
        self._trainer = trainer
        generation = trainer.vllm_generation
        if generation.enable_sleep_mode and generation._llm_weights_sleeping:
            generation.sync_weights()
        self._reseed(generation.llm, "policy")
        with _drawing(generation) as llm:
            yield llm

    @contextmanager
    def frozen(self, weights: Path) -> Iterator[Any]:
        """Yield the same engine with the weights in a model's folder.

        Raises:
            Agent0Error: the folder lacks weights that the engine's model has, or the engine is still at work.
        """
        generation = self._trainer.vllm_generation
        self._trainer._last_loaded_step = NO_STEP  # TRL skips the sync where the step is the one it last sent
        if generation.enable_sleep_mode:
            torch.cuda.empty_cache()  # what torch keeps for later is memory that the engine wakes up into
            generation.llm.wake_up(tags=["weights"])
            generation._llm_weights_sleeping = False
        load_weights(generation.llm, weights)
        self._reseed(generation.llm, "frozen")
        with _drawing(generation) as llm:
            yield llm

    def _reseed(self, llm: Any, turn: str) -> None:
        if self._seed is not None:
            step, process = self._trainer.state.global_step, self._trainer.accelerator.process_index
            llm.apply_model(partial(_seed_generators, seed=derive_seed(self._seed, turn, step, process)))


class FrozenTurnBackend:
    """Draws with a frozen model in the engine of the training process; see `agent0.rollout.engine.Backend`.

    A session is one turn at the engine, and draws as `settings.executor_sampling` says.
    """

    def __init__(
        self,
        turns: EngineTurns,
        weights: Path,
        settings: CurriculumSettings,
        end_ids: Sequence[int],
        rollout: RolloutSettings,
    ) -> None:
        self._turns = turns
        self._weights = weights
        self._settings = settings
        self._end_ids = end_ids
        self._rollout = rollout
        self.concurrency: int | None = rollout.concurrency

    @asynccontextmanager
    async def session(self, trajectories: int, watch: Watch) -> AsyncIterator[Session]:
        """See `agent0.rollout.engine.Backend`."""
        settings = self._settings
        with self._turns.frozen(self._weights) as llm:
            # Asked as the policy is, or the answers would differ by the sampling alone.
            await self._turns.canary.check_frozen(VllmBackend(llm, settings.sampling, self._end_ids, 1))
            rollout = self._rollout
            backend = VllmBackend(
                llm, settings.executor_sampling, self._end_ids, rollout.concurrency, seeded=rollout.vllm.seeded
            )
            async with backend.session(trajectories, watch) as session:
                yield session


def load_weights(llm: Any, folder: Path) -> None:
    """Load a folder's safetensors into a running engine whose memory for weights is awake, as vLLM does at its start.

    By vLLM's own loaders, which know how it fuses and ties weights, and into the tensors that are there, which CUDA
    graphs point to; TRL sends its weights the same way. (vLLM's `reload_weights` leaves out an output head that is tied
    to the embedding, on CPUs at least, where it then draws with the old one.)

    Raises:
        Agent0Error: the folder lacks weights that the engine's model has, or the engine is still at work.
    """
    for missing in llm.apply_model(lambda model: _missing(model, folder)):
        if missing:
            raise Agent0Error(
                f"{folder} lacks {len(missing)} of the weights of the model in training ({', '.join(missing[:3])}), so "
                "that the two cannot take turns at one vLLM engine; give the frozen executor GPUs of its own "
                "(training.executor_gpus)."
            )
    if not llm.reset_prefix_cache():
        raise Agent0Error(
            "vLLM cannot forget what it read with other weights, since requests are still in its engine; this is an "
            "error of Agent0's, please report it with the training's log."
        )


def _missing(model: torch.nn.Module, folder: Path) -> list[str]:
    with _without_adapters(model):
        loaded: set[str] = model.load_weights(_tensors(folder))  # type: ignore[operator]
        return sorted({name for name, _ in model.named_parameters()} - loaded)


@contextmanager
def _without_adapters(model: torch.nn.Module) -> Iterator[None]:
    """Put the model's own layers in the place of those that vLLM has wrapped around them for adapters, for a while."""
    wrapped = [
        (parent, name, layer)
        for parent in list(model.modules())
        for name, layer in list(parent.named_children())
        if hasattr(layer, "base_layer")
    ]
    for parent, name, layer in wrapped:
        setattr(parent, name, layer.base_layer)
    try:
        yield
    finally:
        for parent, name, layer in wrapped:
            setattr(parent, name, layer)


def _seed_generators(_: torch.nn.Module, seed: int) -> None:
    """Seed what an engine draws from, where it draws."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def _tensors(folder: Path) -> Iterator[tuple[str, torch.Tensor]]:
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as weights:
            for name in weights.keys():  # noqa: SIM118  # an opened file is no mapping
                yield name, weights.get_tensor(name)


@contextmanager
def _drawing(generation: Any) -> Iterator[Any]:
    """Yield TRL's engine while it draws; asleep it has no weights, which TRL is told."""
    try:
        with drawing(generation.llm, generation.enable_sleep_mode, WITHOUT_WEIGHTS):
            yield generation.llm
    finally:
        generation._llm_weights_sleeping = generation.enable_sleep_mode


@contextmanager
def drawing(llm: Any, sleeps: bool, level: int) -> Iterator[None]:
    """Wake the cache of an engine whose weights are awake, and put all of it to sleep afterwards, if it may sleep."""
    if sleeps:
        llm.wake_up(tags=["kv_cache"])
    try:
        yield
    finally:
        if sleeps:
            llm.sleep(level=level)
