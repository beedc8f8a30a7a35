"""The pool's public interface: results, order, limits, input, fairness, cancellation."""

import asyncio
import os
import time
from concurrent.futures import CancelledError

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent0.config import SandboxSettings
from agent0.errors import UsageError
from agent0.sandbox import SandboxBusyError, SandboxError, SandboxPool
from agent0.sandbox.execution import Job
from agent0.sandbox.fair_queue import FairQueue


@pytest.fixture(scope="module")
def pool():
    with SandboxPool(SandboxSettings(preload=(), workers=2, timeout_seconds=5.0), max_source_bytes=100_000) as running:
        yield running


def test_printed_output_comes_back(pool):
    result = pool.run("print(2 + 3)")
    assert (result.status, result.stdout, result.stderr, result.exit_code) == ("ok", "5\n", "", 0)
    assert 0 < result.cpu_seconds < 5
    assert 0 < result.wall_seconds < 5
    assert 1 < result.peak_memory_mb < 200


@pytest.mark.parametrize(
    ("source", "stdout"),
    [
        ("2 + 3", "5\n"),
        ("x = 4\nx", "4\n"),
        ("'text'", "'text'\n"),
        ("None", ""),
        ("x = 4", ""),
        ("print(1)\n2", "1\n"),
        ("import os\nos.write(1, b'raw')\n7", "raw7\n"),
        ("", ""),
        ("# nothing", ""),
        ("if __name__ == '__main__': print('main')", "main\n"),
        ("print('grüße 漢字 🦀')", "grüße 漢字 🦀\n"),
        ("print('a\\0b')", "a\0b\n"),
        ("def f():\n    return f\nimport inspect\nprint(inspect.getsource(f))", "def f():\n    return f\n\n"),
        ("print(input(), input())", "one two\n"),
    ],
)
def test_output_is_that_of_an_interpreter(pool, source, stdout):
    result = pool.run(source, stdin="one\ntwo\n")
    assert (result.status, result.stdout, result.stderr) == ("ok", stdout, "")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (b"\xff\xfe", "SyntaxError"),
        (b"print('\xe9')", "SyntaxError"),
        ("print(1)\0", "null bytes"),
        ("x = '\ud800'", "SyntaxError"),
    ],
)
def test_a_program_that_is_no_text_is_an_error_of_the_program(pool, source, words):
    result = pool.run(source)
    assert result.status == "error"
    assert words in result.stderr


def test_a_coding_line_is_respected(pool):
    assert pool.run("# coding: latin-1\nprint('\xe9')".encode("latin-1")).stdout == "é\n"


def test_a_traceback_shows_the_program_and_nothing_of_the_sandbox(pool):
    result = pool.run("def f():\n    return 1 / 0\nf()")
    assert "in f\n    return 1 / 0" in result.stderr
    assert "jail" not in result.stderr
    result = pool.run("class A:\n    def __repr__(self):\n        return 1 / 0\nA()")
    assert "line 4, in <module>" in result.stderr
    assert "return 1 / 0" in result.stderr
    assert "jail" not in result.stderr
    result = pool.run("from multiprocessing import RLock\nRLock().release()")
    assert result.stderr.endswith("AssertionError: attempt to release recursive lock not owned by thread\n")
    assert "jail" not in result.stderr


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


@pytest.mark.parametrize("limit", [0, -1, 1e6, float("nan"), float("inf")])
def test_a_limit_that_is_no_positive_number_is_refused(pool, limit):
    with pytest.raises(UsageError, match="timeout_seconds"):
        pool.run("1", timeout_seconds=limit)


def test_a_source_over_the_size_limit_is_refused(pool):
    with pytest.raises(UsageError, match="max_source_bytes"):
        pool.run("#" * 100_001)


def test_output_is_cut_with_a_marker():
    with SandboxPool(SandboxSettings(preload=(), workers=1, max_output_bytes=10)) as small:
        assert small.run("print('123456789')").stdout == "123456789\n"
        result = small.run("print('1234567890')")
    assert (result.status, result.stdout) == ("output_limit", "1234567890\n[output cut at 10 bytes]")


def test_a_pool_that_was_not_started_says_so():
    with pytest.raises(SandboxError, match="not running"):
        SandboxPool().run("1")


def test_a_cancelled_task_ends_its_program(pool):
    async def cancelled():
        task = asyncio.create_task(pool.arun("while True: pass", timeout_seconds=30))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    before = time.monotonic()
    asyncio.run(cancelled())
    while pool.gauges().running:
        time.sleep(0.01)
    assert time.monotonic() - before < 5


def test_a_cancelled_program_never_starts_when_it_still_waits(pool):
    busy = [pool.submit("import time; time.sleep(0.3)") for _ in range(2)]
    waiting = pool.submit("print('ran')")
    assert waiting.cancel()
    with pytest.raises(CancelledError):
        waiting.result()
    assert all(future.result().ok for future in busy)


def test_a_full_queue_says_so_and_then_takes_programs_again():
    with SandboxPool(SandboxSettings(preload=(), workers=1), queue_limit=2) as small:
        futures = [small.submit("import time; time.sleep(0.2)") for _ in range(3)]
        with pytest.raises(SandboxBusyError, match="queue_limit"):
            small.submit("1")
        assert small.run("1").ok  # a blocking call waits for its place instead
        assert all(future.result().ok for future in futures)


def test_one_client_waits_for_one_program_of_another_at_most():
    queue = FairQueue()
    for number in range(3):
        queue.put(Job(b"long %d" % number, b"", 1.0, "long", 100))
    queue.put(Job(b"short", b"", 1.0, "short", 100))
    order = []
    while (job := queue.take()) is not None:
        order.append(job.source)
    assert order == [b"long 0", b"short", b"long 1", b"long 2"]


def test_gauges_tell_what_happened(pool):
    before = pool.gauges().finished.get("ok", 0)
    pool.run_many(["1"] * 5)
    gauges = pool.gauges()
    assert gauges.finished["ok"] == before + 5
    assert 0 < gauges.p50_seconds <= gauges.p99_seconds
    assert (gauges.queued, gauges.running) == (0, 0)


def test_closing_a_pool_fails_what_still_runs():
    pool = SandboxPool(SandboxSettings(preload=(), workers=1)).start()
    futures = [pool.submit("while True: pass") for _ in range(3)]
    pool.close()
    for future in futures:
        with pytest.raises(SandboxError, match="closed"):
            future.result(timeout=5)
    with pytest.raises(SandboxError):
        pool.run("1")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=60), st.text(max_size=60)))
def test_any_text_has_a_defined_result(pool, source):
    result = pool.run(source)
    assert result.status in ("ok", "error")
    assert (result.exit_code == 0) == (result.status == "ok")


def test_a_pool_refuses_to_work_in_a_fork_of_its_owner(pool):
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            pool.run("1")
        except SandboxError as error:
            os.write(write, str(error).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        assert "forked" in pipe.read()
    os.waitpid(pid, 0)
    assert pool.run("1").ok
