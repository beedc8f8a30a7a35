"""What a rollout backend is opened for, and where backends are found; loads no model and imports no torch.

A package names its own in the group `agent0.backends`, for `rollout.backend`: a function that takes a `FrozenModel` and
is a context manager of a `Backend`. What draws for the model in training is `training.policy_backend`, which is TRL's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent0.config import RolloutSettings, SamplingSettings
from agent0.plugin_finder import ExtensionPoint
from agent0.rollout.drawing_watch import Watch
from agent0.rollout.engine import Backend, Generation, Request, Session


@dataclass(frozen=True)
class FrozenModel:
    """What a backend draws with.

    Attributes:
        model: folder of a saved causal language model.
        tokenizer: its tokenizer.
        end_ids: tokens that end a turn.
        rollout: limits of a trajectory, and the settings of the backends.
        sampling: how tokens are drawn.
        log: folder that keeps what servers print.
        gpus: indices of the GPUs to use among those visible; None: all of them.
        seed: of what is drawn without a seed of its own, as with `rollout.vllm.seeded` false.
    """

    model: Path
    tokenizer: Any
    end_ids: list[int]
    rollout: RolloutSettings
    sampling: SamplingSettings
    log: Path
    gpus: Sequence[int] | None = None
    seed: int = 0


OpenBackend = Callable[[FrozenModel], AbstractContextManager[Backend]]
_OWN = {name: f"agent0.rollout.backends:open_{name}" for name in ("transformers", "vllm", "vllm_server")}
BACKENDS: ExtensionPoint[OpenBackend] = ExtensionPoint(
    "agent0.backends", "rollout backend", Callable, "function of an agent0.rollout.FrozenModel", _OWN
)


class BlamedBackend:
    """A package's backend, whose errors say so."""

    def __init__(self, backend: Backend, name: str) -> None:
        self._backend = backend
        self._name = name
        self.concurrency = backend.concurrency

    @asynccontextmanager
    async def session(self, trajectories: int, watch: Watch) -> AsyncIterator[Session]:
        """See `agent0.rollout.engine.Backend`."""
        async with self._backend.session(trajectories, watch) as session:
            yield _BlamedSession(session, self._name)


class _BlamedSession:
    def __init__(self, session: Session, name: str) -> None:
        self._session = session
        self._name = name

    async def generate(self, request: Request) -> Generation:
        with BACKENDS.blamed(self._name):
            return await self._session.generate(request)

    def retire(self) -> None:
        self._session.retire()
