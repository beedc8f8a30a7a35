"""The sandbox over HTTP: the same pool behind FastAPI, for programs that cannot run it in their own pod.

A result is always a program's; when the sandbox cannot give one, the answer is an HTTP error, so that no client takes
a failure for output. Leaves out TLS and rate limits per user, which belong to the ingress.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic import BaseModel, ConfigDict, Field

from agent0.config import SandboxSettings
from agent0.errors import Agent0Error, UsageError
from agent0.listening import listening
from agent0.sandbox import sandbox_fusion
from agent0.sandbox.bearer_token import TOKEN_VARIABLE, read_token
from agent0.sandbox.body_limit import BodyLimit
from agent0.sandbox.farewell import Farewell
from agent0.sandbox.metrics import PoolCollector
from agent0.sandbox.pool import SandboxPool
from agent0.sandbox.result import RunResult, SandboxBusyError
from agent0.sandbox.service_limits import ServiceLimits

MAX_BATCH = 1024
T = TypeVar("T")


class RunRequest(BaseModel):
    """Body of `POST /v1/run`."""

    model_config = ConfigDict(extra="forbid")

    source: str
    stdin: str = ""
    timeout_seconds: float | None = Field(None, gt=0)


class BatchRequest(BaseModel):
    """Body of `POST /v1/batch`."""

    model_config = ConfigDict(extra="forbid")

    sources: list[str] = Field(max_length=MAX_BATCH)
    timeout_seconds: float | None = Field(None, gt=0)


def create_app(pool: SandboxPool, token: str | None, max_body_bytes: int = 8 << 20) -> FastAPI:
    """The application over a pool.

    Args:
        pool: started, or to be started with the application; closed with it.
        token: bearer token that every run needs; None lets anyone in.
        max_body_bytes: longer requests are refused with 413.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if not pool.running:
            await asyncio.to_thread(pool.start)
        app.state.ready = True
        yield
        app.state.ready = False
        await asyncio.to_thread(pool.close)

    def authorised(request: Request) -> None:
        if token is None:
            return
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, f"Bearer {token}".encode()):
            raise HTTPException(401, "A valid bearer token is needed.", {"WWW-Authenticate": "Bearer"})

    app = FastAPI(title="agent0 sandbox", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.ready = False
    app.add_middleware(BodyLimit, max_bytes=max_body_bytes)
    app.add_middleware(Farewell)
    app.add_exception_handler(Agent0Error, _explain)
    app.add_exception_handler(RequestValidationError, _refuse)
    registry = CollectorRegistry()
    registry.register(PoolCollector(pool))
    only_with_token = [Depends(authorised)]
    longest = pool.settings.timeout_seconds

    def limit(asked: float | None) -> float:
        if asked is not None and asked > longest:
            raise UsageError(f"timeout_seconds is {asked}; this service allows at most {longest}.")
        return longest if asked is None else asked

    async def one(request: Request, source: str, stdin: str, seconds: float) -> RunResult:
        future = pool.submit(source, stdin=stdin, timeout_seconds=seconds, client=_client(request))
        return await _while_connected(request, asyncio.wrap_future(future))

    @app.post("/v1/run", dependencies=only_with_token)
    async def run(body: RunRequest, request: Request) -> dict[str, Any]:
        return (await one(request, body.source, body.stdin, limit(body.timeout_seconds))).to_dict()

    @app.post("/v1/batch", dependencies=only_with_token)
    async def batch(body: BatchRequest, request: Request) -> dict[str, Any]:
        seconds, client = limit(body.timeout_seconds), _client(request)
        runs = [pool.arun(source, timeout_seconds=seconds, client=client) for source in body.sources]
        results = await _while_connected(request, asyncio.ensure_future(_all_or_none(runs)))
        return {"results": [result.to_dict() for result in results]}

    @app.post("/run_code", dependencies=only_with_token)
    async def run_code(body: sandbox_fusion.RunCodeRequest, request: Request) -> dict[str, Any]:
        sandbox_fusion.check(body)
        result = await one(request, body.code, body.stdin or "", min(body.run_timeout, longest))
        return sandbox_fusion.response(result)

    @app.get("/v1/limits", dependencies=only_with_token)
    async def limits() -> dict[str, Any]:
        return ServiceLimits.of(pool.settings, pool.workers).model_dump(mode="json")

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz")
    async def readyz(response: Response) -> dict[str, str]:
        if not (app.state.ready and pool.running):
            response.status_code = 503
            return {"status": "not ready"}
        return {"status": "ready"}

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return app


async def _explain(request: Request, error: Exception) -> JSONResponse:
    """Errors of the caller are 400, a full queue 503 with a time to wait, a broken sandbox 503 without."""
    code = 400 if isinstance(error, UsageError) else 503
    headers = {"Retry-After": "1"} if isinstance(error, SandboxBusyError) else None
    return JSONResponse({"error": str(error)}, code, headers)


async def _refuse(request: Request, error: Exception) -> Response:
    """A body that is not as it must be is 422; what was sent is not repeated, since it may be no JSON (NaN) or text."""
    assert isinstance(error, RequestValidationError)
    faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
    text = json.dumps({"error": f"The request is malformed: {'; '.join(faults)}."})  # ASCII: a key may be a surrogate
    return Response(text, 422, media_type="application/json")


def _client(request: Request) -> str:
    return request.client.host if request.client is not None else ""


async def _all_or_none(runs: list[Coroutine[Any, Any, RunResult]]) -> list[RunResult]:
    """The results in order; where one cannot be had, or nobody waits any more, the others are ended."""
    tasks = [asyncio.ensure_future(run) for run in runs]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


async def _while_connected(request: Request, work: asyncio.Future[T]) -> T:
    """Await `work`, and cancel it when the client hangs up, so that its program does not run on for nobody."""

    async def hung_up() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    watcher = asyncio.ensure_future(hung_up())
    try:
        both: list[asyncio.Future[Any]] = [work, watcher]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            work.cancel()
            raise HTTPException(499, "The client hung up.")
        return work.result()
    finally:
        watcher.cancel()
        if not work.done():
            work.cancel()


def serve(settings: SandboxSettings, host: str, port: int, token_file: Path | None) -> None:
    """Serve until SIGTERM or SIGINT; what runs then is finished first.

    Raises:
        UsageError: nothing can listen at the address, or it is not loopback and there is no token.
        SandboxError: the pool could not start.
    """
    token = read_token(token_file)
    if token is None and not _loopback(host):
        raise UsageError(
            f"Refusing to bind {host} without a bearer token: anyone who reaches it could run programs. "
            f"Give --token-file or set {TOKEN_VARIABLE}, or bind 127.0.0.1."
        )
    taken = listening(host, port)
    pool = SandboxPool(settings).start()
    config = uvicorn.Config(
        create_app(pool, token),
        log_level="info",
        access_log=False,
        timeout_graceful_shutdown=int(settings.timeout_seconds) + 15,
    )
    try:
        uvicorn.Server(config).run([taken])  # ends the process itself, by the signal, once it has drained
    finally:
        pool.close()


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
