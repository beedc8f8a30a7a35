"""A Kubeflow Pipelines API server for tests: HTTP on a real socket, state behind it, every request checked.

It answers what `kfp.Client` and `agent0 pipeline` ask, from the paths of the API v2beta1, with the logs of v1alpha1 and
the runs of v1beta1. What it leaves out: artifacts, archiving, retries, visualisations, updates of versions. It can be
of another release, want a token, be for several users, fail on demand, and every exchange is kept to be compared with
the API's specification.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from aiohttp import web

from tests.kubeflow.catalogue import get
from tests.kubeflow.checking import DENIED, INVALID, UNAUTHENTICATED, ApiError, check_model, filled
from tests.kubeflow.listing import listed
from tests.kubeflow.state import State

PREFIX, OLDER = "/apis/v2beta1", "/apis/v1beta1"
BODY, ANSWER = web.RequestKey("body", Any), web.RequestKey("answer", Any)
Trouble = Literal["drop", "hang", "500", "503", "html"]
Answer = dict[str, Any]


@dataclass(frozen=True)
class Exchange:
    """One request with its answer: the path as the specification writes it."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    status: int
    answer: Any


@dataclass
class Break:
    """Trouble for the next requests whose method and path it matches."""

    method: str
    path: str
    trouble: Trouble
    times: int


@dataclass
class KfpServer:
    """The running server, as a test sees and steers it."""

    state: State = field(default_factory=State)
    url: str = ""
    tokens: set[str] = field(default_factory=set)
    namespaces: set[str] = field(default_factory=set)  # the allowed ones; empty for all
    speaks_v2: bool = True
    exchanges: list[Exchange] = field(default_factory=list)
    breaks: list[Break] = field(default_factory=list)
    on_request: Callable[[str, str], None] = lambda method, path: None

    def break_next(self, method: str, path: str, trouble: Trouble, times: int = 1) -> None:
        """Let the next `times` requests of `method` fail whose path holds the pattern `path`."""
        self.breaks.append(Break(method, path, trouble, times))

    def requests(self, method: str, path: str = "") -> list[Exchange]:
        """Return the exchanges of a method whose path in the specification ends with `path`."""
        return [item for item in self.exchanges if item.method == method and item.path.endswith(path)]


@contextmanager
def kfp_server(state: State | None = None, certificate: Path | None = None, port: int = 0) -> Iterator[KfpServer]:
    """Run a server on a free port of the loopback interface, with TLS if there is a certificate."""
    server = KfpServer(state or State())
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    runner = asyncio.run_coroutine_threadsafe(_start(server, context, port), loop).result()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _start(server: KfpServer, context: ssl.SSLContext | None, port: int) -> web.AppRunner:
    app = web.Application(client_max_size=32 << 20, middlewares=[_middleware(server)])
    for method, path, handler in _routes(server.state):
        app.router.add_route(method, path, handler)
    app.router.add_get("/apis/v1alpha1/runs/{run_id}/nodes/{node_id}/log", _log(server.state))
    app.router.add_get(
        OLDER + "/runs/{run_id}", _plain(lambda request: server.state.older_run(request.match_info["run_id"]))
    )
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=context)
    await site.start()
    taken = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    server.url = f"{'https' if context else 'http'}://127.0.0.1:{taken}"
    return runner


def _middleware(server: KfpServer) -> Any:
    @web.middleware
    async def handle(request: web.Request, handler: Any) -> web.StreamResponse:
        server.on_request(request.method, request.path)
        for item in server.breaks:
            if item.times and item.method == request.method and re.search(item.path, request.path):
                item.times -= 1
                return await _trouble(request, item.trouble)
        resource = request.match_info.route.resource
        path = resource.canonical if resource else request.path
        try:
            if not server.speaks_v2:
                return web.Response(status=404, text="404 page not found")
            _authorize(server, request)
            answer = await handler(request)
        except ApiError as error:
            request[ANSWER] = _error_body(path, error)
            answer = web.json_response(request[ANSWER], status=error.status)
        except web.HTTPNotFound:
            answer = web.json_response({"code": 5, "message": "Not Found", "details": []}, status=404)
        asked = dict(request.query), request.get(BODY)
        server.exchanges.append(Exchange(request.method, path, *asked, answer.status, request.get(ANSWER)))
        return answer

    return handle


async def _trouble(request: web.Request, trouble: Trouble) -> web.StreamResponse:
    if trouble == "hang":
        await asyncio.sleep(3600)
    if trouble == "drop":
        assert request.transport is not None
        request.transport.abort()
        return web.Response()
    if trouble == "html":
        return web.Response(text="<html>Log in</html>", content_type="text/html")
    return web.json_response({"code": 14, "message": "upstream is down", "details": []}, status=int(trouble))


def _error_body(path: str, error: ApiError) -> Answer:
    if path.startswith(f"{PREFIX}/pipelines/upload"):  # plain HTTP there, not the gateway's form
        return {"error_message": error.message, "error_details": f"{error.message}\nstack"}
    detail = {"@type": "type.googleapis.com/google.rpc.Status", "code": error.code, "message": error.message}
    return {"code": error.code, "message": error.message, "details": [detail]}


def _authorize(server: KfpServer, request: web.Request) -> None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if server.tokens and (scheme != "Bearer" or token not in server.tokens):
        raise ApiError(UNAUTHENTICATED, "Request header error: there is no user identity header.")
    namespace = request.query.get("namespace", "")
    if namespace and server.namespaces and namespace not in server.namespaces:
        raise ApiError(DENIED, f"User is not authorized to access namespace {namespace}")


def _log(state: State) -> Any:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(text=state.log(request.match_info["run_id"], request.match_info["node_id"]))

    return handle


def _routes(state: State) -> list[tuple[str, str, Any]]:
    """Return method, path and handler of everything that the server answers."""

    def health(request: web.Request) -> Answer:
        store = {"multi_user": state.multi_user, "pipeline_store": "database"}
        return {"commit_sha": "0" * 40, "tag_name": state.version, **store}

    def delete_version(request: web.Request) -> Answer:
        get(state.versions, request.match_info["pipeline_version_id"], "PipelineVersion")
        del state.versions[request.match_info["pipeline_version_id"]]
        return {}

    def delete_recurring(request: web.Request) -> Answer:
        get(state.recurring_runs, request.match_info["recurring_run_id"], "RecurringRun")
        del state.recurring_runs[request.match_info["recurring_run_id"]]
        return {}

    def switch(mode: str, status: str) -> Callable[[web.Request], Answer]:
        def handle(request: web.Request) -> Answer:
            entry = get(state.recurring_runs, request.match_info["recurring_run_id"], "RecurringRun")
            entry.update(mode=mode, status=status)
            return {}

        return handle

    def versions(request: web.Request) -> Answer:
        owner = get(state.pipelines, request.match_info["pipeline_id"], "Pipeline")["pipeline_id"]
        return listed(state.versions, request.query, "pipeline_versions", pipeline_id=owner)

    def by_namespace(entries: dict[str, Any], name: str) -> Callable[[web.Request], Answer]:
        def handle(request: web.Request) -> Answer:
            required = {"namespace": request.query.get("namespace", "")} if state.multi_user else {}
            return listed(entries, request.query, name, **required)

        return handle

    def runs(request: web.Request) -> Answer:
        if state.multi_user and not request.query.get("namespace"):
            raise ApiError(INVALID, "Invalid input error: a namespace is needed in multi-user mode")
        return listed(state.runs, request.query, "runs")

    def got(call: Callable[[str], Any], key: str) -> Callable[[web.Request], Answer]:
        return lambda request: call(request.match_info[key]) or {}

    def entry(entries: dict[str, Any], key: str, kind: str) -> Callable[[web.Request], Answer]:
        return lambda request: get(entries, request.match_info[key], kind)

    pipeline, version = "/pipelines/{pipeline_id}", "/pipelines/{pipeline_id}/versions/{pipeline_version_id}"
    recurring = "/recurringruns/{recurring_run_id}"
    plain: list[tuple[str, str, Callable[[web.Request], Answer]]] = [
        ("GET", "/healthz", health),
        ("GET", "/experiments", by_namespace(state.experiments, "experiments")),
        ("GET", "/experiments/{experiment_id}", entry(state.experiments, "experiment_id", "Experiment")),
        ("GET", "/pipelines", by_namespace(state.pipelines, "pipelines")),
        ("GET", pipeline, entry(state.pipelines, "pipeline_id", "Pipeline")),
        ("DELETE", pipeline, got(state.delete_pipeline, "pipeline_id")),
        ("GET", f"{pipeline}/versions", versions),
        ("GET", version, entry(state.versions, "pipeline_version_id", "PipelineVersion")),
        ("DELETE", version, delete_version),
        ("GET", "/runs", runs),
        ("GET", "/runs/{run_id}", got(state.look_at, "run_id")),
        ("POST", "/runs/{run_id}:terminate", got(state.terminate, "run_id")),
        ("GET", "/recurringruns", by_namespace(state.recurring_runs, "recurringRuns")),
        ("GET", recurring, entry(state.recurring_runs, "recurring_run_id", "RecurringRun")),
        ("DELETE", recurring, delete_recurring),
        ("POST", f"{recurring}:disable", switch("DISABLE", "DISABLED")),
        ("POST", f"{recurring}:enable", switch("ENABLE", "ENABLED")),
    ]
    with_body: list[tuple[str, str, Callable[[Answer], Answer]]] = [
        ("/experiments", "V2beta1Experiment", state.create_experiment),
        ("/pipelines", "V2beta1Pipeline", state.create_pipeline),
        ("/runs", "V2beta1Run", state.create_run),
        ("/recurringruns", "V2beta1RecurringRun", state.create_recurring_run),
    ]
    uploads = [
        ("/pipelines/upload", state.upload_pipeline),
        ("/pipelines/upload_version", state.upload_version),
    ]
    return [
        *(("POST", PREFIX + path, _uploaded(call)) for path, call in uploads),
        *((method, PREFIX + path, _plain(call)) for method, path, call in plain),
        *(("POST", PREFIX + path, _with_body(model, call)) for path, model, call in with_body),
    ]


def _plain(call: Callable[[web.Request], Answer]) -> Any:
    async def handle(request: web.Request) -> web.Response:
        answer = call(request)
        request[ANSWER] = answer if request.path.endswith("/healthz") else filled(answer)
        return web.json_response(request[ANSWER])

    return handle


def _with_body(model: str, call: Callable[[Answer], Answer]) -> Any:
    async def handle(request: web.Request) -> web.Response:
        try:
            request[BODY] = json.loads(await request.text())
        except ValueError:
            raise ApiError(INVALID, "proto: syntax error (line 1:1): unexpected token") from None
        check_model(request[BODY], model)
        request[ANSWER] = filled(call(request[BODY]))
        return web.json_response(request[ANSWER])

    return handle


def _uploaded(call: Callable[[bytes, str, Any], Answer]) -> Any:
    async def handle(request: web.Request) -> web.Response:
        form = await request.post()
        file = form.get("uploadfile")
        if not isinstance(file, web.FileField):
            raise ApiError(INVALID, "Failed to read pipeline from file")
        request[ANSWER] = filled(call(file.file.read(), file.filename, request.query))
        return web.json_response(request[ANSWER])

    return handle
