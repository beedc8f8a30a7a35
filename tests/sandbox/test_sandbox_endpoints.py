"""Stages run their programs on the services that the settings name, and end with a sentence where they cannot."""

from __future__ import annotations

import ast
import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from sandbox_service import Service, sandbox_services

from agent0.config import SandboxSettings
from agent0.errors import Agent0Error, UsageError
from agent0.sandbox import Sandbox, SandboxError, SandboxPool, client, open_sandbox
from agent0.sandbox.bearer_token import TOKEN_VARIABLE
from agent0.sandbox.service_limits import ServiceLimits

TOKEN = "a-token-of-tests"
LIMITS = SandboxSettings(preload=(), memory_mb=256, timeout_seconds=5.0)
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def services() -> Iterator[list[Service]]:
    with sandbox_services(LIMITS, TOKEN, 2) as running:
        yield running


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    monkeypatch.setattr(client, "OPENING_SECONDS", 1.0)


@pytest.fixture(autouse=True)
def _no_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: SandboxPool) -> SandboxPool:
        raise AssertionError("a local pool was started")

    monkeypatch.setattr(SandboxPool, "start", start)


def named(*endpoints: str, **changes: Any) -> SandboxSettings:
    return LIMITS.model_validate({**LIMITS.model_dump(), "endpoints": endpoints, **changes})


def run(sandbox: Sandbox, *sources: str) -> list[str]:
    async def together() -> list[str]:
        return [result.stdout for result in await asyncio.gather(*(sandbox.arun(source) for source in sources))]

    return asyncio.run(together())


def test_programs_are_spread_over_the_services(services: list[Service]) -> None:
    before = [service.programs for service in services]
    with open_sandbox(named(*(service.url for service in services))) as sandbox:
        assert run(sandbox, *(f"print({n})" for n in range(12))) == [f"{n}\n" for n in range(12)]
        assert run(sandbox, "print('in another event loop')") == ["in another event loop\n"]
        reading = sandbox.gauges()
    ran = [service.programs - count for service, count in zip(services, before, strict=True)]
    assert sum(ran) == 13
    assert min(ran) >= 6
    assert (reading.finished, reading.running, reading.queued) == ({"ok": 13}, 0, 0)


def test_no_more_programs_are_under_way_than_the_settings_allow(services: list[Service]) -> None:
    with open_sandbox(named(services[0].url, workers=1)) as sandbox:
        began = time.monotonic()
        run(sandbox, *["import time; time.sleep(0.3)"] * 3)
        assert time.monotonic() - began > 0.9


def test_a_program_has_the_time_that_the_settings_give_it(services: list[Service]) -> None:
    with open_sandbox(named(services[0].url, timeout_seconds=0.5)) as sandbox:
        result = asyncio.run(sandbox.arun("while True: pass"))
    assert result.status == "timeout"
    assert result.wall_seconds < 3


def test_a_cancelled_program_ends(services: list[Service]) -> None:
    async def give_up(sandbox: Sandbox) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sandbox.arun("while True: pass"), 0.5)

    with open_sandbox(named(services[0].url, workers=2)) as sandbox:
        asyncio.run(give_up(sandbox))
        began = time.monotonic()
        assert run(sandbox, *["1"] * 4) == ["1\n"] * 4
        assert time.monotonic() - began < 4  # neither of the service's two workers runs on for nobody
        assert sandbox.gauges().running == 0


@pytest.mark.parametrize(("end", "seconds", "programs"), [("kill", 0.8, 4), ("drain", 0.5, 10)])
def test_a_service_that_is_lost_or_drains_costs_no_program(
    end: str, seconds: float, programs: int, services: list[Service]
) -> None:
    with sandbox_services(LIMITS, TOKEN) as (ending,), open_sandbox(named(ending.url, services[0].url)) as sandbox:
        ends = threading.Timer(0.4, getattr(ending, end))
        ends.start()
        sources = [f"import time; time.sleep({seconds}); print({n})" for n in range(programs)]
        assert run(sandbox, *sources) == [f"{n}\n" for n in range(programs)]
        ends.join()


def test_one_service_that_is_down_is_no_hindrance(services: list[Service]) -> None:
    with open_sandbox(named("http://127.0.0.1:9", services[0].url)) as sandbox:
        assert run(sandbox, "1", "2") == ["1\n", "2\n"]


def opening(settings: SandboxSettings) -> None:
    with open_sandbox(settings):
        pytest.fail("it opened")


def test_where_no_service_answers_the_sentence_names_the_setting() -> None:
    with pytest.raises(SandboxError, match=r"No sandbox answers in .*127\.0\.0\.1:9.*Check sandbox\.endpoints"):
        opening(named("http://127.0.0.1:9"))


@pytest.mark.parametrize("token", ["wrong", None])
def test_a_token_that_is_refused_is_said_at_once_and_never_shown(
    services: list[Service], monkeypatch: pytest.MonkeyPatch, token: str | None
) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE)
    if token:
        monkeypatch.setenv(TOKEN_VARIABLE, token)
    with pytest.raises(SandboxError, match=rf"does not accept the bearer token .* set {TOKEN_VARIABLE}") as caught:
        opening(named(services[0].url))
    assert TOKEN not in str(caught.value)
    assert "wrong" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"memory_mb": 512}, "memory_mb is 512 here and 256 there"),
        ({"timeout_seconds": 60.0}, r"timeout_seconds is 60.0 here and at most 5.0 there"),
        ({"preload": ("sympy",)}, r"preload is \['sympy'\] here and \[\] there"),
        ({"max_output_bytes": 100}, "max_output_bytes is 100 here and 65536 there"),
    ],
)
def test_a_service_with_other_limits_is_refused(
    services: list[Service], changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        opening(named(services[0].url, **changes))


def test_a_service_must_be_as_strict_as_the_settings() -> None:
    permissive = ServiceLimits.of(LIMITS.model_copy(update={"policy": "permissive"}), 2)
    with pytest.raises(UsageError, match="policy is strict here and permissive there"):
        permissive.check(LIMITS, "http://x")
    ServiceLimits.of(LIMITS, 2).check(LIMITS.model_copy(update={"policy": "permissive"}), "http://x")


def test_what_is_no_sandbox_is_said_to_be_none(services: list[Service]) -> None:
    with pytest.raises(Agent0Error, match="does not answer as a sandbox of this version does"):
        opening(named(f"{services[0].url}/elsewhere"))


@pytest.mark.parametrize(
    "endpoint",
    ["", "sandbox:8194", "ftp://sandbox", "http://", "http://a b", "http://x:99999", "http://x?token=1", "http://x#y"],
)
def test_what_is_no_address_is_refused(endpoint: str) -> None:
    with pytest.raises(ValidationError, match="is no address of a service"):
        named(endpoint)


def test_an_address_holds_no_secret() -> None:
    with pytest.raises(ValidationError, match=TOKEN_VARIABLE):
        named("http://user:password@sandbox")


def test_no_stage_knows_which_sandbox_it_has() -> None:
    of_this_machine = {
        "agent0/machine_examination.py",
        "agent0/cli/sandbox.py",
        "agent0/benchmarks/gym_verifier.py",
        "agent0/benchmarks/domain_verifier.py",
    }
    found = {
        file.relative_to(ROOT).as_posix()
        for folder in ("agent0", "components", "pipelines")
        for file in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and {alias.name for alias in node.names} & {"SandboxPool", "SandboxClient"}
    }
    assert {name for name in found if not name.startswith("agent0/sandbox/")} == of_this_machine
