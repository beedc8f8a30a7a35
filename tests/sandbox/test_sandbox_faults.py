"""Whatever happens to a program or its owner, each caller gets an answer, and the answer is true."""

import asyncio
import json
import os
import resource
import subprocess
import sys
import time

import httpx
import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from agent0.config import SandboxSettings
from agent0.sandbox import SandboxError, SandboxPool
from agent0.sandbox.execution import Execution
from agent0.sandbox.farewell import Farewell
from agent0.sandbox.service import create_app

SETTINGS = SandboxSettings(preload=(), workers=2, timeout_seconds=5.0, memory_mb=256)
LONE_SURROGATE = b'{"source": "\\ud800"}'
IGNORED_BY_PYTHON = {13: "SIGPIPE", 25: "SIGXFSZ"}
NOT_DEADLY = {17, 18, 19, 20, 21, 22, 23, 28}  # children, job control, urgent data, window size

KILL = 62 if os.uname().machine == "x86_64" else 129


@pytest.fixture(scope="module")
def pool():
    with SandboxPool(SETTINGS) as running:
        yield running


@pytest.mark.parametrize("number", sorted(set(range(1, 65)) - NOT_DEADLY - set(IGNORED_BY_PYTHON) - {2}))
def test_a_program_that_ends_itself_by_a_signal_is_killed_by_that_signal(pool, number):
    source = f"import ctypes, os\nctypes.CDLL(None).syscall({KILL}, os.getpid(), {number})\nprint('alive')"
    result = pool.submit(source).result(timeout=20)
    assert (result.status, result.exit_code, result.stdout) == ("killed", -number, "")
    assert f"[killed by signal {number} (" in result.stderr


STARTED_WITH_SIGNALS_OFF = """
import ctypes, signal, struct
from agent0.sandbox import SandboxPool
from agent0.config import SandboxSettings
from agent0.sandbox.jail import syscalls

ignored, blocked = (1, 2, 3, 32, 33), (15, 34, 40)
action = ctypes.create_string_buffer(struct.pack("QQQQ", 1, 0, 0, 0))
for number in ignored:  # as nohup, a shell's `&` and some runtimes do; the C library itself refuses 32 and 33
    syscalls.call(syscalls.numbers_here()["rt_sigaction"], number, ctypes.addressof(action), 0, 8)
signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
with SandboxPool(SandboxSettings(preload=(), workers=1)) as pool:
    for number in (*ignored, *blocked):
        print(number, pool.run(f"import os; os.kill(os.getpid(), {number})").exit_code)
"""


def test_a_sandbox_whose_starter_ignores_or_blocks_signals_lets_them_end_programs():
    started = subprocess.run(
        [sys.executable, "-c", STARTED_WITH_SIGNALS_OFF], check=False, capture_output=True, text=True, timeout=60
    )
    codes = dict(line.split() for line in started.stdout.splitlines())
    keyboard_interrupt = codes.pop("2")
    assert codes == {str(number): str(-number) for number in (1, 3, 32, 33, 15, 34, 40)}, started.stderr
    assert keyboard_interrupt == "1"


def test_signals_that_python_ignores_end_a_program_that_does_not(pool):
    for number, name in IGNORED_BY_PYTHON.items():
        source = f"import os, signal\nsignal.signal({number}, signal.SIG_DFL)\nos.kill(os.getpid(), {number})"
        result = pool.run(source)
        assert (result.status, result.exit_code) == ("killed", -number)
        assert name in result.stderr


def test_the_limit_of_processor_time_is_a_timeout(pool):
    source = "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (1, 1))\nwhile True: pass"
    assert pool.run(source, timeout_seconds=0.9).status == "timeout"


@pytest.mark.parametrize(
    "source",
    [
        "raise ValueError('first\\nMemoryError')",
        "import sys\nprint('MemoryError', file=sys.stderr)\nsys.exit(1)",
        "x = " + "-" * 100_000 + "1",
        "x = " + "1 if 1 else " * 20_000 + "1",
        "x = " + "[" * 300_000,
        "x = 1" + "+1" * 60_000,
        "import copy\na = []\nfor _ in range(100_000):\n    a = [a]\ncopy.deepcopy(a)",
        "a = []\nfor _ in range(100_000):\n    a = [a]\na",
        "def f(): g()\ndef g(): f()\ntry:\n    f()\nexcept RecursionError:\n    f()",
        "import sys\nsys.setrecursionlimit(100_000)\ndef f(): g()\ndef g(): h()\ndef h(): f()\nf()",
    ],
)
def test_an_error_is_no_lack_of_memory_and_no_flood_of_output(pool, source):
    result = pool.run(source)
    assert (result.status, result.exit_code) == ("error", 1)
    assert len(result.stderr) < 40_000


@pytest.mark.parametrize(
    "source",
    [
        "x = bytearray(1 << 40)",
        "raise MemoryError",
        "class Own(MemoryError): pass\nraise Own('large')",
        "import sys\nsys.excepthook = lambda *a: None\nraise MemoryError",
        "import atexit\n@atexit.register\ndef late(): pass\nx = 'a' * (1 << 40)",
    ],
)
def test_an_uncaught_memory_error_is_memory_whatever_is_printed(pool, source):
    assert (pool.run(source).status, pool.run(source).exit_code) == ("memory", 1)


@pytest.mark.parametrize("begun", ["f()", "threading.Thread(target=f).start()"])
def test_a_flood_of_threads_is_called_one_also_after_the_main_program(begun):
    source = f"import threading\ndef f():\n    while True:\n        threading.Thread(target=f).start()\n{begun}"
    with SandboxPool(SandboxSettings(preload=(), workers=1, memory_mb=2048)) as pool:  # room for all their stacks
        result = pool.run(source)
    assert result.status == "killed"
    assert result.stderr.endswith("[killed: more threads than a program may have]\n")


@settings(max_examples=15)
@given(st.sampled_from(["a.", "\n", "a\n", "x.MemoryErrors ", " \n"]), st.sampled_from([0, 1]))
def test_the_owner_reads_any_error_text_in_no_time(pool, piece, code):
    source = f"import os\nos.write(2, {piece!r}.encode() * {60_000 // len(piece)})\nos._exit({code})"
    before = time.monotonic()
    assert pool.run(source).status == ("error" if code else "ok")
    assert time.monotonic() - before < 3


def test_a_run_whose_result_cannot_be_made_out_fails_alone(pool, monkeypatch):
    def broken(self, ended):
        raise RuntimeError("unreadable")

    with monkeypatch.context() as patch:
        patch.setattr(Execution, "result", broken)
        with pytest.raises(SandboxError, match="unreadable"):
            pool.submit("1").result(timeout=10)
    assert pool.run("print(1)").stdout == "1\n"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_of_the_pool_itself_is_told_to_all_who_wait(monkeypatch):
    pool = SandboxPool(SandboxSettings(preload=(), workers=1), queue_limit=1).start()
    with TestClient(create_app(pool, None)) as http:
        assert http.get("/readyz").status_code == 200
        running = [pool.submit("while True: pass") for _ in range(2)]

        async def wait_for_a_place():
            waiting = [asyncio.create_task(pool.arun("1")) for _ in range(3)]
            await asyncio.sleep(0.1)
            monkeypatch.setattr(pool._engine._fleet, "look", lambda: 1 / 0)
            return await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), timeout=10)

        failures = asyncio.run(wait_for_a_place())
        failures += [future.exception(timeout=10) for future in running]
        assert all(isinstance(failure, SandboxError) and "ZeroDivisionError" in str(failure) for failure in failures)
        assert not pool.running
        assert http.get("/readyz").status_code == 503
        assert http.post("/v1/run", json={"source": "1"}).status_code == 503
    pool.close()


def test_a_shortage_of_descriptors_is_waited_out():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with SandboxPool(SETTINGS, recycle_after=3) as pool:
        assert pool.run("1").ok
        highest = max(map(int, os.listdir("/proc/self/fd")))  # noqa: PTH208
        spare = [os.dup(0) for _ in range(highest)]  # no gap is left below
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(spare) + 1, hard))
            futures = [pool.submit(f"print({number})") for number in range(6)]
            time.sleep(0.7)
            assert not any(future.done() for future in futures)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for fd in spare:
                os.close(fd)
        assert [future.result(timeout=20).stdout for future in futures] == [f"{number}\n" for number in range(6)]


def test_a_lasting_shortage_is_told(pool, monkeypatch):
    def scarce(*_):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("agent0.sandbox.shortage._PATIENCE_SECONDS", 0.2)
    with monkeypatch.context() as patch:
        patch.setattr("agent0.sandbox.pool_thread.Execution", scarce)
        with pytest.raises(SandboxError, match=r"Too many open files.*ulimit -n"):
            pool.submit("1").result(timeout=10)
    assert pool.run("1").ok


@pytest.mark.parametrize(
    "body",
    [
        b'{"source": "1", "timeout_seconds": NaN}',
        b'{"source": "1", "timeout_seconds": Infinity}',
        b'{"source": "1", "timeout_seconds": -Infinity}',
        b'{"source": NaN}',
        LONE_SURROGATE,
        b'{"source": "1", "\\ud800": 1}',
        b'{"source": "1", "stdin": {"\\udfff": "\\ud800"}}',
        b'{"source": "\xff"}',
        b"[" * 100_000,
    ],
)
@pytest.mark.parametrize("path", ["/v1/run", "/v1/batch", "/run_code"])
def test_a_body_that_is_no_request_is_refused_in_words(pool, path, body):
    answer = asyncio.run(_post(pool, path, body.replace(b'"source"', b'"code"') if path == "/run_code" else body))
    taken = body == LONE_SURROGATE or path == "/run_code"  # which ignores fields that it does not know
    assert 400 <= answer.status_code < 500 or (answer.status_code == 200 and taken)
    assert answer.json()


async def _post(pool, path, body):
    transport = httpx.ASGITransport(create_app(pool, None))  # raises what the application does not answer
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as http:
        return await http.post(path, content=body, headers={"Content-Type": "application/json"})


def test_a_request_that_the_server_gives_up_is_answered():
    async def slow(scope, receive, send):
        await asyncio.sleep(60)

    async def given_up():
        sent = []

        async def send(message):
            sent.append(message)

        task = asyncio.create_task(Farewell(slow)({"type": "http"}, None, send))
        await asyncio.sleep(0.01)
        task.cancel()
        await task
        return sent

    assert [message.get("status") for message in asyncio.run(given_up())] == [503, None]


def test_a_refused_batch_does_not_run_on():
    settings = SandboxSettings(preload=(), workers=1, timeout_seconds=5.0)
    with SandboxPool(settings, max_source_bytes=4000) as pool:
        sources = ["import time; time.sleep(4)"] * 3 + ["#" * 5000]
        answer = asyncio.run(_post(pool, "/v1/batch", json.dumps({"sources": sources}).encode()))
        assert answer.status_code == 400
        before = time.monotonic()
        assert pool.run("1").ok
        assert time.monotonic() - before < 3.5
