"""The pool's public interface: results, order, limits, cancellation, crashes, recycling."""

import asyncio

import pytest

from agent0.config import SandboxSettings
from agent0.errors import UsageError
from agent0.sandbox import SandboxError, SandboxPool


@pytest.fixture(scope="module")
def pool():
    with SandboxPool(SandboxSettings(preload=(), workers=2, timeout_seconds=5.0)) as running:
        yield running


def test_printed_output_comes_back(pool):
    result = pool.run("print(2 + 3)")
    assert (result.status, result.stdout, result.stderr, result.exit_code) == ("ok", "5\n", "", 0)
    assert 0 < result.cpu_seconds < 5
    assert 0 < result.wall_seconds < 5
    assert 1 < result.peak_memory_mb < 200


def test_many_results_are_in_the_order_of_the_sources(pool):
    assert [result.stdout for result in pool.run_many(f"print({i})" for i in range(50))] == [
        f"{i}\n" for i in range(50)
    ]


def test_asyncio_interface_runs_concurrently(pool):
    async def both():
        return await asyncio.gather(pool.arun("1 + 1"), pool.arun("2 + 2"))

    assert [result.stdout for result in asyncio.run(both())] == ["2\n", "4\n"]


def test_an_endless_loop_is_a_timeout(pool):
    result = pool.run("print('before')\nwhile True: pass", timeout_seconds=0.3)
    assert (result.status, result.stdout) == ("timeout", "before\n")
    assert 0.3 <= result.wall_seconds < 2


@pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf")])
def test_a_limit_that_is_no_positive_number_is_refused(pool, limit):
    with pytest.raises(UsageError, match="timeout_seconds"):
        pool.run("1", timeout_seconds=limit)


def test_a_pool_that_was_not_started_says_so():
    with pytest.raises(SandboxError, match="not running"):
        SandboxPool().run("1")
