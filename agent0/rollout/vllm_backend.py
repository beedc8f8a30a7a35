"""Generation with vLLM inside this process: one engine, no turn barrier.

A session adds requests as trajectories ask for turns and steps the engine while any is in it; between two steps the
event loop runs, so programs and other trajectories make progress. Programs that finish during a step are seen after
it. The engine belongs to the caller: a trainer passes its colocated one. Starting servers is `vllm_process`'s work.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agent0.config import RolloutSettings, SamplingSettings
from agent0.errors import Agent0Error, UsageError
from agent0.rollout.drawing_watch import Watch
from agent0.rollout.engine import Generation, Request
from agent0.rollout.vllm_environment import applied, engine_arguments, environment, gpu_groups
from agent0.rollout.vllm_version import require_vllm

if TYPE_CHECKING:
    from agent0.rollout.vllm_adapters import Adapter

_YIELDS = 3  # of the event loop between two steps: a result arrives, its trajectory resumes, and asks for its next turn


class VllmError(Agent0Error):
    """vLLM failed, in this process or as a server."""


class VllmBackend:
    """Draws with an in-process `vllm.LLM`; see `agent0.rollout.engine.Backend`.

    Log-probabilities are the engine's (`logprobs_mode`); `open_llm` and TRL's trainer set it to those of the
    distribution that tokens were drawn from.

    Args:
        llm: the engine; nobody else may step it while a session is open.
        sampling: temperature, top_p and top_k.
        end_ids: tokens that end a turn (`agent0.rollout.tokens.end_token_ids`).
        concurrency: trajectories in flight at once.
        seeded: whether each turn is drawn by its own seed.
        adapter: adapters that draw, and are loaded; None: the model as the engine has it.

    Raises:
        UsageError: the sampling asks for vocabulary dropout, which only the transformers backend has.
    """

    def __init__(
        self,
        llm: Any,
        sampling: SamplingSettings,
        end_ids: Sequence[int],
        concurrency: int,
        *,
        seeded: bool = True,
        adapter: Adapter | None = None,
    ) -> None:
        refuse_vocabulary_dropout(sampling)
        self._engine = llm.llm_engine
        self._lora = adapter.request() if adapter else None
        self._draws = DrawArguments(sampling, list(end_ids), seeded)
        self._names = itertools.count()
        self.concurrency: int | None = concurrency

    @asynccontextmanager
    async def session(self, trajectories: int, watch: Watch) -> AsyncIterator[_Session]:
        """See `agent0.rollout.engine.Backend`."""
        session = _Session(self._engine, self._draws, self._lora, self._names, watch)
        driver = asyncio.create_task(session.drive())
        try:
            yield session
        finally:
            driver.cancel()
            await asyncio.wait([driver])
            session.abandon()


class _Session:
    """Steps the engine while requests are in it."""

    def __init__(self, engine: Any, draws: DrawArguments, lora: Any, names: Iterator[int], watch: Watch) -> None:
        self._engine = engine
        self._draws = draws
        self._lora = lora
        self._names = names
        self._watch = watch
        self._drawing: dict[str, asyncio.Future[Generation]] = {}
        self._asked = asyncio.Event()

    async def generate(self, request: Request) -> Generation:
        name = f"agent0-{next(self._names)}"
        try:
            self._engine.add_request(
                name,
                {"prompt_token_ids": request.prompt},
                _sampling_params(self._draws.of(request)),
                lora_request=self._lora,
            )
        except ValueError as error:  # vLLM's validation errors are such
            raise VllmError(f"vLLM refused a turn: {error}") from error
        _leave_out_texts(self._engine)
        future: asyncio.Future[Generation] = asyncio.get_running_loop().create_future()
        self._drawing[name] = future
        self._asked.set()
        try:
            return await future
        except asyncio.CancelledError:
            if self._drawing.pop(name, None):
                self._engine.abort_request([name])
            raise

    def retire(self) -> None:
        """Nothing waits for a trajectory that has ended."""

    async def drive(self) -> None:
        """Step the engine whenever it holds requests; wait without work otherwise."""
        while True:
            await self._asked.wait()
            try:
                while self._drawing:
                    self._step()
                    for _ in range(_YIELDS):
                        await asyncio.sleep(0)
            except Exception as error:  # whatever the engine died of concerns everybody who waits for it
                self._fail(error)
            self._asked.clear()

    def abandon(self) -> None:
        """Take what is still being drawn out of the engine."""
        if self._drawing:
            self._engine.abort_request(list(self._drawing))
            self._drawing.clear()

    def _step(self) -> None:
        for output in self._engine.step():
            future = self._drawing.pop(output.request_id, None) if output.finished else None
            if future is None or future.done():
                continue
            try:
                generation = _generation(output.outputs[0])
                future.set_result(generation)
                self._watch.drew(len(generation.token_ids))
            except VllmError as error:
                future.set_exception(error)

    def _fail(self, error: Exception) -> None:
        failure = VllmError(f"The vLLM engine in this process failed: {error or type(error).__name__}")
        failure.__cause__ = error
        for future in self._drawing.values():
            if not future.done():
                future.set_exception(failure)
        self._drawing.clear()


def _leave_out_texts(engine: Any) -> None:
    """Keep the newest request's log-probabilities from being labelled with their tokens' texts, which nobody reads.

    vLLM decodes each drawn token for that label, some 0.1 ms of this process, which is most of what it does between two
    steps; its parameters can only switch that off together with stop strings.
    """
    newest = next(reversed(engine.output_processor.request_states.values()))
    newest.logprobs_processor.tokenizer = None


def _generation(drawn: Any) -> Generation:
    finish = finish_of(drawn.finish_reason, drawn.stop_reason)
    logprobs = [entry[token].logprob for token, entry in zip(drawn.token_ids, drawn.logprobs or [], strict=True)]
    return Generation(list(drawn.token_ids), finish, logprobs)


def refuse_vocabulary_dropout(sampling: SamplingSettings) -> None:
    """Raise where a vLLM backend could not do what the sampling asks for.

    Raises:
        UsageError: vocabulary dropout is on.
    """
    if sampling.vocabulary_retention != 1.0:
        raise UsageError(
            f"sampling.vocabulary_retention is {sampling.vocabulary_retention}, but only the transformers backend can "
            "mask the vocabulary; set it to 1 or choose the backend 'transformers'."
        )


def finish_of(finish_reason: str | None, stop_reason: int | str | None) -> Literal["eos", "stop", "length"]:
    """Translate vLLM's reasons for ending a turn.

    Raises:
        VllmError: the turn ended for a reason that is no end of text, such as an abort.
    """
    if finish_reason == "length":
        return "length"
    if finish_reason == "stop":
        return "stop" if isinstance(stop_reason, str) else "eos"
    raise VllmError(f"vLLM ended a turn with the reason {finish_reason!r} (stop reason {stop_reason!r}).")


@dataclass(frozen=True)
class DrawArguments:
    """How turns are drawn: the sampling, the tokens that end them, and whether each has a seed of its own."""

    sampling: SamplingSettings
    end_ids: list[int]
    seeded: bool

    def of(self, request: Request) -> dict[str, Any]:
        """Return what `SamplingParams` and the body of `/v1/completions` have in common for one turn."""
        return {
            "max_tokens": request.max_tokens,
            "temperature": self.sampling.temperature,
            "top_p": self.sampling.top_p,
            "top_k": self.sampling.top_k,
            "seed": request.seed if self.seeded or request.repeatable else None,
            "stop": [request.stop] if request.stop else [],
            "include_stop_str_in_output": True,
            "stop_token_ids": self.end_ids,
            "skip_special_tokens": False,
            "logprobs": 0,
        }


def _sampling_params(arguments: dict[str, Any]) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(n=1, output_kind=RequestOutputKind.FINAL_ONLY, **arguments)


@contextmanager
def open_llm(
    model: Path,
    rollout: RolloutSettings,
    gpus: Sequence[int] | None = None,
    *,
    seed: int = 0,
    further: Mapping[str, Any] | None = None,
    variables: Mapping[str, str] | None = None,
) -> Iterator[Any]:
    """Load a `vllm.LLM` for generation and free it, with its worker processes, at the end.

    Args:
        model: folder of a saved causal language model with its tokenizer.
        rollout: limits of a trajectory and the engine's settings.
        gpus: indices of the GPUs to use among those visible; None: as many as the engine needs, from the first.
        seed: of what is drawn without a seed of its own.
        further: arguments of the engine beside those of the settings, or in their place.
        variables: environment variables while it starts.
    """
    installed = require_vllm()
    group = gpu_groups(installed, gpus, rollout.vllm.tensor_parallel_size)[0]
    variables = {**environment(installed, group), **(variables or {})}
    with started_llm(
        model, {**engine_arguments(rollout, installed), "seed": seed, **(further or {})}, variables
    ) as llm:
        yield llm


@contextmanager
def started_llm(model: Path, arguments: Mapping[str, Any], variables: Mapping[str, str]) -> Iterator[Any]:
    """Start a `vllm.LLM` with its arguments, and environment variables while it starts; free it at the end."""
    quiet = {} if "VLLM_LOGGING_LEVEL" in os.environ else {"VLLM_LOGGING_LEVEL": "WARNING"}
    with applied({**quiet, **variables}):
        from vllm import LLM

        llm = LLM(model=str(model), disable_log_stats=True, **arguments)
    try:
        yield llm
    finally:
        llm.llm_engine.engine_core.shutdown()
        del llm
        gc.collect()
