"""Asking a model behind an address that speaks OpenAI's chat completions, many requests at a time.

Each reply is handed over before its worker asks again, so that whoever keeps them pays for none twice. A busy endpoint,
and one that cannot be reached, is asked again after pauses that grow; one that refuses is not. After a failure nothing
more is asked, and what is under way is waited for: it is paid for.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp

from agent0.config.endpoint import EndpointSettings
from agent0.errors import Agent0Error
from agent0.patience import Patience, shown

Body = dict[str, Any]
"""What a request sends: `model`, `messages`, and how to draw."""
_BUSY = (408, 409, 425, 429)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 20.0


class EndpointError(Agent0Error):
    """An endpoint did not answer, or refused."""


class EndpointAwayError(EndpointError):
    """An endpoint could not be reached, or gave no reply in time."""


@dataclass(frozen=True)
class Completion:
    """A reply: its text, whether it was cut at its limit of tokens, and what was counted; None where it is not said."""

    text: str
    cut: bool
    prompt_tokens: int | None
    completion_tokens: int | None


Keep = Callable[[str, Completion], None]
"""Told of each reply, under the key of its request, when it arrives."""


class Purse(Protocol):
    """Says whether there is enough left to ask."""

    async def admit(self, body: Body) -> bool:
        """Return whether a request may be sent, having waited for those under way if it depends on them."""

    def settle(self, body: Body, completion: Completion | None) -> None:
        """Take in what a request that was admitted came to; None where it failed."""


class _Boundless:
    async def admit(self, body: Body) -> bool:
        return True

    def settle(self, body: Body, completion: Completion | None) -> None: ...


@dataclass(frozen=True)
class ChatClient:
    """An endpoint, and how errors speak of it.

    Attributes:
        settings: where it is, and how long it may take.
        role: what it is here, such as 'judge'.
        section: of its settings.
        advice: where the replies until now are and what to do, as the end of a sentence.
    """

    settings: EndpointSettings
    role: str
    section: str
    advice: str

    def ask(self, bodies: Mapping[str, Body], keep: Keep, purse: Purse | None = None) -> None:
        """Ask for a reply to each of `bodies`, by key, and hand it to `keep`; what the purse refuses is not sent.

        Raises:
            EndpointAwayError: the endpoint gave no reply within the deadline.
            EndpointError: it refuses, or sends what is no reply.
        """
        asyncio.run(self._ask_all(iter(bodies.items()), keep, purse or _Boundless()))

    async def _ask_all(self, pending: Iterator[tuple[str, Body]], keep: Keep, purse: Purse) -> None:
        key = os.environ.get(self.settings.key_variable)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        failed = False

        async def work(client: aiohttp.ClientSession) -> None:
            nonlocal failed
            for name, body in pending:
                if failed or not await purse.admit(body):
                    return
                completion = None
                try:
                    try:
                        if not failed:  # another may have, while this one waited to be admitted
                            completion = await self._insist(client, body)
                            keep(name, completion)
                    finally:
                        purse.settle(body, completion)
                except BaseException:
                    failed = True
                    raise

        async with aiohttp.ClientSession(headers=headers) as client:
            workers = [work(client) for _ in range(self.settings.concurrency)]
            ended = await asyncio.gather(*workers, return_exceptions=True)
        for error in ended:
            if error is not None:
                raise error

    async def _insist(self, client: aiohttp.ClientSession, body: Body) -> Completion:
        """Ask until there is a reply or the deadline is met."""
        seconds = self.settings.deadline_seconds
        patience = Patience(seconds, _FIRST_PAUSE, _LONGEST_PAUSE)
        while True:
            try:
                async with asyncio.timeout_at(patience.deadline):
                    return await self._ask_once(client, body)
            except (_Busy, TimeoutError) as error:
                cause = str(error) or "no answer in time"
            if not await patience.wait():
                raise EndpointAwayError(
                    f"The {self.role} at {self._address} gave no reply within {seconds:g} s "
                    f"({self.section}.deadline_seconds); last cause: {cause}. {self.advice}"
                )

    async def _ask_once(self, client: aiohttp.ClientSession, body: Body) -> Completion:
        try:
            async with client.post(self._address, json=body) as response:
                answer = await response.read()
        except (aiohttp.ClientError, OSError) as error:
            raise _Busy(str(error) or type(error).__name__) from error
        if response.status >= 500 or response.status in _BUSY:
            raise _Busy(f"it answered {response.status}: {shown(answer)}")
        if response.status != 200:
            raise EndpointError(
                f"The {self.role} at {self._address} refused with {response.status}: {shown(answer)} Check "
                f"{self.section}.url, {self.section}.model and the key in {self.settings.key_variable}. {self.advice}"
            )
        try:
            return _completion(json.loads(answer))
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise EndpointError(f"{self._address} sent no chat completion ({error!r}): {shown(answer)}") from error

    @property
    def _address(self) -> str:
        return f"{self.settings.url.rstrip('/')}/chat/completions"


class _Busy(Exception):  # noqa: N818
    """The endpoint could not answer now; another attempt may succeed."""


def _completion(answer: Any) -> Completion:
    choice, usage = answer["choices"][0], answer.get("usage") or {}
    text = choice["message"]["content"]
    return Completion(
        text=text if isinstance(text, str) else "",
        cut=choice.get("finish_reason") == "length",
        prompt_tokens=usage.get("prompt_tokens"),
        completion_tokens=usage.get("completion_tokens"),
    )
