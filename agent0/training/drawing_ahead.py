"""The next batch drawn while the last is trained on (`training.staleness` 1), and what that does to the loss.

A batch is asked for when the one before it is handed over, with the weights of that moment, and is trained on with
those that are then one batch of updates further. TRL's own correction of what vLLM draws weighs each token by how much
likelier the trainer finds it than the policy that drew it did, up to `training.importance_cap`; here it is used for
whatever draws. The first batch of a training, or of one that is resumed, is drawn with the weights that it is trained
on. So a training that was interrupted goes on, but not with the same numbers.

Relies on one method and three attributes of TRL 1.16's `GRPOTrainer`; `tests/training/test_drawing_ahead.py` is the
contract.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import torch

from agent0.errors import Agent0Error
from agent0.rollout.drawing_watch import Watch
from agent0.training.useful_tokens import Batch, UsefulTokensTrainer
from agent0.types import Trajectory

STALENESS = "rollout/staleness"
WAITED_SECONDS = "rollout/waited_seconds"


@dataclass(frozen=True)
class Asked:
    """A batch to draw: one prompt per trajectory, for the training's update `step`, and a seed."""

    prompts: tuple[str, ...]
    step: int
    seed: int


@dataclass(frozen=True)
class Drawn:
    """Trajectories of a batch, the columns that replace those of the dataset's rows, and what is to be logged."""

    trajectories: list[Trajectory]
    columns: dict[str, list[Any]]
    metrics: dict[str, float] = field(default_factory=dict)


class DrawingAhead:
    """Draws one batch in a thread while its owner trains; a context manager, which gives up what is drawn when left."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="agent0-ahead")
        self._drawing: tuple[Asked, int, Future[Drawn]] | None = None
        self._given_up = False
        self.waited = 0.0
        self.step = 0
        """Updates before the weights that drew the batch that is trained on."""

    def __enter__(self) -> DrawingAhead:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._given_up = True
        self._thread.shutdown(wait=True, cancel_futures=True)

    def begin(self, asked: Asked, step: int, draw: Callable[[], Drawn]) -> None:
        """Draw a batch from now on, with the weights that there are after `step` updates."""
        self._drawing = (asked, step, self._thread.submit(draw))

    def wait(self) -> None:
        """Wait until nothing is being drawn, so that weights may change.

        Raises:
            Agent0Error: the engine or the sandbox failed meanwhile.
        """
        began = time.monotonic()
        if self._drawing is not None:
            self._drawing[2].result()
        self.waited = time.monotonic() - began

    def take(self, asked: Asked) -> Drawn | None:
        """Return what was drawn for `asked`, if anything was; `step` follows.

        Raises:
            Agent0Error: other prompts were drawn ahead.
        """
        ahead, self._drawing = self._drawing, None
        if ahead is None:
            self.step = asked.step
            return None
        begun, step, drawing = ahead
        if begun != asked:
            raise Agent0Error(
                "TRL asks for other prompts than were drawn ahead; this is an error of Agent0's, please report it with "
                "the version of trl. training.staleness 0 does without."
            )
        self.step = step
        return drawing.result()

    def watching(self, watch: Watch) -> Watch:
        """Return a watch that ends the drawing, by an error, once it has been given up."""
        return _Watch(watch, lambda: self._given_up)


class AheadTrainer(UsefulTokensTrainer):
    """`UsefulTokensTrainer` for rollouts that draw ahead, if `ahead` is given.

    It logs at each update how many were made since the weights that drew its batch, and the seconds that it waited for
    a batch. `drawn_by_engine` says that an engine draws of which TRL knows nothing: it is corrected for, too.
    """

    use_vllm: bool

    def __init__(
        self, *args: Any, ahead: DrawingAhead | None = None, drawn_by_engine: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._ahead = ahead
        self._sends_weights = self.use_vllm
        if ahead is not None or drawn_by_engine:
            self.use_vllm = True  # what TRL's correction depends on, whoever draws

    def _generate(self, prompts: list[Any]) -> Any:
        if self._ahead is not None:
            self._ahead.wait()
            self.accelerator.wait_for_everyone()  # the first process sends the weights, and others may still draw
            self._metrics["train"][WAITED_SECONDS].append(self._ahead.waited)
        if self.use_vllm and not self._sends_weights:
            self._last_loaded_step = self.state.global_step  # there is no engine of TRL's to send them to
        return super()._generate(prompts)

    def compute_loss(self, model: Any, inputs: Batch, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return the loss of an update; see `UsefulTokensTrainer`."""
        if self._ahead is not None:
            self._metrics["train"][STALENESS].append(self.state.global_step - self._ahead.step)
        return super().compute_loss(model, inputs, *args, **kwargs)


class _GivenUpError(Exception):
    """Nobody will read what is being drawn."""


class _Watch:
    def __init__(self, watch: Watch, given_up: Callable[[], bool]) -> None:
        self._watch = watch
        self._given_up = given_up

    def drew(self, tokens: int) -> None:
        """See `Watch`."""
        if self._given_up():
            raise _GivenUpError
        self._watch.drew(tokens)

    def finished(self) -> None:
        """See `Watch`."""
        self._watch.finished()

    def warn(self, message: str) -> None:
        """See `Watch`."""
        self._watch.warn(message)
