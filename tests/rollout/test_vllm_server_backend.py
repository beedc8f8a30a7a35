"""The server backend against small HTTP servers that answer as a recorded vLLM 0.31 did (checked in tests/vllm)."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from agent0.config import SamplingSettings, VllmSettings
from agent0.errors import UsageError
from agent0.rollout import Generation, Request
from agent0.rollout.drawing_watch import NOBODY
from agent0.rollout.vllm_backend import VllmError
from agent0.rollout.vllm_server_backend import VllmServerBackend

RECORDED = json.loads((Path(__file__).parent / "vllm_completion.json").read_text())
REQUEST = Request([5, 6, 7], 4, "```output", 11)
Handler = Callable[[web.Request], Awaitable[web.Response]]


def completion(**changes: Any) -> web.Response:
    choice = {**RECORDED["choices"][0], **changes}
    return web.json_response({**RECORDED, "choices": [choice]})


@asynccontextmanager
async def stub(handler: Handler) -> AsyncIterator[str]:
    """A server that answers completions with `handler`."""
    application = web.Application()
    application.router.add_post("/v1/completions", handler)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def backend_of(endpoints: list[str], seconds: float = 20.0, **further: Any) -> VllmServerBackend:
    settings = VllmSettings(request_timeout_seconds=seconds)
    return VllmServerBackend(endpoints, "model", SamplingSettings(), [2], settings, 8, **further)


async def draw(endpoints: list[str], count: int = 1, **further: Any) -> list[Generation]:
    async with backend_of(endpoints, **further).session(count, NOBODY) as session:
        return await asyncio.gather(*(session.generate(REQUEST) for _ in range(count)))


def ask(handler: Handler, **further: Any) -> Generation:
    async def run() -> Generation:
        async with stub(handler) as address:
            return (await draw([address], **further))[0]

    return asyncio.run(run())


def unused_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def test_tokens_go_out_and_come_back_with_their_logprobs() -> None:
    bodies: list[dict[str, Any]] = []

    async def handler(request: web.Request) -> web.Response:
        bodies.append(await request.json())
        return completion()

    drawn = ask(handler)
    choice = RECORDED["choices"][0]
    assert drawn == Generation(choice["token_ids"], "length", choice["logprobs"]["token_logprobs"])
    assert bodies[0] == {
        "model": "model",
        "prompt": [5, 6, 7],
        "return_token_ids": True,
        "max_tokens": 4,
        "temperature": 1.0,
        "top_p": 1.0,
        "top_k": 0,
        "seed": 11,
        "stop": ["```output"],
        "include_stop_str_in_output": True,
        "stop_token_ids": [2],
        "skip_special_tokens": False,
        "logprobs": 0,
    }


@pytest.mark.parametrize(
    ("reason", "detail", "finish"),
    [("length", None, "length"), ("stop", "```output", "stop"), ("stop", None, "eos"), ("stop", 2, "eos")],
)
def test_each_reason_to_end_is_told_apart(reason: str, detail: Any, finish: str) -> None:
    async def handler(_: web.Request) -> web.Response:
        return completion(finish_reason=reason, stop_reason=detail)

    assert ask(handler).finish == finish


@pytest.mark.parametrize("reason", ["abort", "error", "repetition", None])
def test_another_reason_to_end_is_an_error_and_never_text(reason: str | None) -> None:
    async def handler(_: web.Request) -> web.Response:
        return completion(finish_reason=reason)

    with pytest.raises(VllmError, match=f"reason {reason!r}"):
        ask(handler)


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_passing_failure_is_asked_again_with_the_same_seed(status: int) -> None:
    seeds: list[int] = []

    async def handler(request: web.Request) -> web.Response:
        seeds.append((await request.json())["seed"])
        return web.Response(status=status) if len(seeds) < 3 else completion()

    assert ask(handler).finish == "length"
    assert seeds == [REQUEST.seed] * 3


def test_a_refusal_is_an_error_at_once_with_the_servers_own_words() -> None:
    asked = 0

    async def handler(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.json_response({"error": {"message": "The model `model` does not exist."}}, status=404)

    with pytest.raises(VllmError, match=r"refused a turn with 404: .*does not exist"):
        ask(handler)
    assert asked == 1


def test_a_dropped_connection_is_asked_again() -> None:
    asked = 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        if asked == 1:
            assert request.transport is not None
            request.transport.close()
        return completion()

    assert ask(handler).finish == "length"
    assert asked == 2


def test_the_deadline_names_servers_and_last_cause() -> None:
    address = unused_address()
    with pytest.raises(VllmError, match=rf"(?s)within 1 s .*{address}.*last cause: .*onnect"):
        asyncio.run(draw([address], seconds=1.0))


def test_a_server_that_hangs_meets_the_deadline() -> None:
    async def handler(_: web.Request) -> web.Response:
        await asyncio.sleep(5)
        return completion()

    with pytest.raises(VllmError, match="did not answer in time"):
        ask(handler, seconds=0.5)


def test_a_server_given_up_ends_the_wait_at_once() -> None:
    with pytest.raises(VllmError, match="ended 4 times"):
        asyncio.run(draw([unused_address()], seconds=600.0, lost=lambda: "The vLLM server has ended 4 times."))


def test_another_server_takes_over_from_one_that_is_away() -> None:
    async def handler(_: web.Request) -> web.Response:
        return completion()

    async def run() -> list[Generation]:
        async with stub(handler) as address:
            return await draw([unused_address(), address], count=16)

    assert len(asyncio.run(run())) == 16


def test_turns_go_to_the_server_with_the_fewest_and_never_beyond_the_limit() -> None:
    flying = [0, 0]
    most = [0, 0]

    def handler_of(number: int) -> Handler:
        async def handler(_: web.Request) -> web.Response:
            flying[number] += 1
            most[number] = max(most[number], flying[number])
            await asyncio.sleep(0.05)
            flying[number] -= 1
            return completion()

        return handler

    async def run() -> None:
        async with stub(handler_of(0)) as first, stub(handler_of(1)) as second:
            await draw([first, second], count=40)

    asyncio.run(run())
    assert most == [4, 4]


def test_a_thousand_turns_at_once_all_come_back() -> None:
    async def handler(_: web.Request) -> web.Response:
        await asyncio.sleep(0.1)
        return completion()

    async def run() -> list[Generation]:
        async with stub(handler) as address:
            settings = VllmSettings(request_timeout_seconds=60)
            backend = VllmServerBackend([address], "model", SamplingSettings(), [2], settings, 1000)
            async with backend.session(1000, NOBODY) as session:
                return await asyncio.gather(*(session.generate(REQUEST) for _ in range(1000)))

    assert len(asyncio.run(run())) == 1000


@pytest.mark.parametrize("changes", [{"token_ids": None}, {"token_ids": [1]}, {"logprobs": None}, {"token_ids": []}])
def test_an_answer_whose_tokens_and_logprobs_do_not_match_is_an_error(changes: dict[str, Any]) -> None:
    async def handler(_: web.Request) -> web.Response:
        return completion(**changes)

    with pytest.raises(VllmError, match=r"tokens with|without token ids"):
        ask(handler)


def test_vocabulary_dropout_is_refused() -> None:
    with pytest.raises(UsageError, match="only the transformers backend"):
        VllmServerBackend(["x"], "m", SamplingSettings(vocabulary_retention=0.9), [2], VllmSettings(), 1)
