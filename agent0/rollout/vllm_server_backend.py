"""Generation with vLLM servers: token ids over `/v1/completions`, one request per turn, no turn barrier.

A request goes to the server with the fewest in flight. A server that is away is asked again later, or another one is,
with the same seed, so a crash costs time and changes no meaning. Starting and ending servers is `vllm_process`'s work.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from agent0.config import SamplingSettings, VllmSettings
from agent0.patience import Patience, shown
from agent0.rollout.drawing_watch import Watch
from agent0.rollout.engine import Generation, Request
from agent0.rollout.vllm_backend import DrawArguments, VllmError, finish_of, refuse_vocabulary_dropout

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0  # seconds between two attempts
_CONNECT_SECONDS = 10.0
_BUSY = (408, 425, 429)  # client errors that time heals


@dataclass
class _Endpoint:
    """A server, the turns that it draws now, and the time before which it is not asked again unless all are away."""

    address: str
    in_flight: int = 0
    failures: int = 0
    away_until: float = 0.0

    def fail(self, now: float) -> None:
        self.away_until = now + min(_FIRST_PAUSE * 2**self.failures, _LONGEST_PAUSE)
        self.failures = min(self.failures + 1, 20)

    def succeed(self) -> None:
        self.failures, self.away_until = 0, 0.0


class VllmServerBackend:
    """Draws with OpenAI-compatible vLLM servers; see `agent0.rollout.engine.Backend`.

    Args:
        endpoints: base addresses, such as `http://127.0.0.1:8000`; all serve the same weights.
        model: the name at the servers of the model, or of the adapters, that draw.
        sampling: temperature, top_p and top_k.
        end_ids: tokens that end a turn (`agent0.rollout.tokens.end_token_ids`).
        settings: `request_timeout_seconds` is how long one turn may take, all attempts together; `seeded` whether each
            is drawn by its own seed.
        concurrency: trajectories in flight at once, and connections.
        lost: asked before each new attempt; a sentence ends the wait at once.

    Raises:
        UsageError: the sampling asks for vocabulary dropout, which only the transformers backend has.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        model: str,
        sampling: SamplingSettings,
        end_ids: Sequence[int],
        settings: VllmSettings,
        concurrency: int,
        lost: Callable[[], str | None] = lambda: None,
    ) -> None:
        refuse_vocabulary_dropout(sampling)
        self._addresses = [address.rstrip("/") for address in endpoints]
        self._model = model
        self._draws = DrawArguments(sampling, list(end_ids), settings.seeded)
        self._settings = settings
        self._lost = lost
        self._concurrency = concurrency
        self.concurrency: int | None = concurrency

    @asynccontextmanager
    async def session(self, trajectories: int, watch: Watch) -> AsyncIterator[_Session]:
        """See `agent0.rollout.engine.Backend`."""
        connector = aiohttp.TCPConnector(limit=0)  # the session's places are the limit
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as client:
            yield _Session(client, self._addresses, self._body, self._settings, self._concurrency, self._lost, watch)

    def _body(self, request: Request) -> bytes:
        asked = {"model": self._model, "prompt": request.prompt, "return_token_ids": True, **self._draws.of(request)}
        return json.dumps(asked).encode()


class _Away(Exception):  # noqa: N818
    """A server could not answer now; another attempt may succeed."""


class _Session:
    """Asks the servers inside one event loop."""

    def __init__(
        self,
        client: aiohttp.ClientSession,
        addresses: Sequence[str],
        body: Callable[[Request], bytes],
        settings: VllmSettings,
        concurrency: int,
        lost: Callable[[], str | None],
        watch: Watch,
    ) -> None:
        self._client = client
        self._endpoints = [_Endpoint(address) for address in addresses]
        self._body = body
        self._timeout = settings.request_timeout_seconds
        self._places = asyncio.Semaphore(concurrency)
        self._lost = lost
        self._watch = watch

    async def generate(self, request: Request) -> Generation:
        async with self._places:
            generation = await self._insist(self._body(request))
        self._watch.drew(len(generation.token_ids))
        return generation

    async def _insist(self, body: bytes) -> Generation:
        """Ask until a server draws the turn, another one after each failure, or the deadline is met."""
        clock = asyncio.get_running_loop().time
        patience, failed = Patience(self._timeout, _FIRST_PAUSE, _LONGEST_PAUSE), None
        while True:
            endpoint = self._pick(clock(), failed)
            endpoint.in_flight += 1
            try:
                async with asyncio.timeout_at(patience.deadline):
                    drawn = await self._ask(endpoint.address, body)
                endpoint.succeed()
                return drawn
            except (_Away, TimeoutError) as error:
                cause = str(error) or f"{endpoint.address} did not answer in time"
            finally:
                endpoint.in_flight -= 1
            self._give_up_if_lost(cause)
            endpoint.fail(clock())
            failed = endpoint
            if not await patience.wait():
                raise VllmError(
                    f"No vLLM server drew a turn within {self._timeout:.0f} s (rollout.vllm.request_timeout_seconds) "
                    f"at {', '.join(e.address for e in self._endpoints)}; last cause: {cause}"
                )

    def _pick(self, now: float, failed: _Endpoint | None) -> _Endpoint:
        """Return the server with the fewest turns that is not away; the one that just failed comes last."""
        return min(self._endpoints, key=lambda e: (e.away_until > now, e is failed, e.in_flight))

    def retire(self) -> None:
        """Nothing waits for a trajectory that has ended."""

    def _give_up_if_lost(self, cause: str) -> None:
        if (reason := self._lost()) is not None:
            raise VllmError(f"{reason}\nLast cause: {cause}")

    async def _ask(self, address: str, body: bytes) -> Generation:
        headers = {"Content-Type": "application/json"}
        try:
            async with self._client.post(f"{address}/v1/completions", data=body, headers=headers) as response:
                answer = await response.read()
        except (aiohttp.ClientError, OSError) as error:
            raise _Away(f"{address}: {error or type(error).__name__}") from error
        if response.status >= 500 or response.status in _BUSY:
            raise _Away(f"{address} answered {response.status}: {shown(answer)}")
        if response.status != 200:
            raise VllmError(f"The vLLM server at {address} refused a turn with {response.status}: {shown(answer)}")
        return _generation(address, answer)


def _generation(address: str, answer: bytes) -> Generation:
    """Read a completion.

    Raises:
        VllmError: it is none, or lacks what makes tokens and log-probabilities aligned.
    """
    try:
        choice: dict[str, Any] = json.loads(answer)["choices"][0]
        token_ids, logprobs = choice["token_ids"], choice["logprobs"]["token_logprobs"]
    except (ValueError, LookupError, TypeError) as error:
        raise VllmError(
            f"The server at {address} answered without token ids or log-probabilities ({error!r}): {shown(answer)}. "
            "Is it a vLLM server of a supported version?"
        ) from error
    finish = finish_of(choice["finish_reason"], choice.get("stop_reason"))
    if not token_ids or len(token_ids) != len(logprobs):
        raise VllmError(
            f"The vLLM server at {address} sent {len(token_ids or [])} tokens with {len(logprobs)} log-probabilities."
        )
    return Generation(token_ids, finish, logprobs)
