"""What models usually write runs, or ends with one sentence that a model can act on."""

import pytest

from agent0.config import SandboxSettings
from agent0.sandbox import SandboxPool


@pytest.fixture(scope="module")
def pool():
    with SandboxPool(SandboxSettings(preload=(), workers=2, timeout_seconds=10.0)) as running:
        yield running


@pytest.fixture(scope="module")
def plain_folder():
    """A pool in which programs share the view of the file system, as in a restricted container.

    Permissive, because root may have its interpreter where no other user can read it.
    """
    settings = SandboxSettings(preload=(), workers=1, timeout_seconds=10.0, policy="permissive")
    with SandboxPool(settings, without=["mount_namespace"]) as running:
        yield running


@pytest.mark.parametrize(
    ("source", "stdout"),
    [
        ("print(42)\nexit()\nprint(43)", "42\n"),
        ("print(42)\nquit(0)", "42\n"),
        ("import builtins\nprint('exit' in dir(builtins), license is not None)", "True True\n"),
        ("import inspect, sys\nprint(len(inspect.stack()), sys._getframe().f_back)", "1 None\n"),
        ("help(abs)", "Help on built-in function abs in module builtins:\n"),
        ("from multiprocessing.dummy import Pool\nwith Pool(2) as p:\n    print(p.map(abs, [1, -2]))", "[1, 2]\n"),
        ("from multiprocessing.pool import ThreadPool\nprint(ThreadPool(3).map(abs, [1, -2]))", "[1, 2]\n"),
        ("from multiprocessing import Lock\nwith Lock():\n    print('in')", "in\n"),
        ("from multiprocessing import Queue\nq = Queue()\nq.put(5)\nprint(q.get())", "5\n"),
        (
            "from concurrent.futures import ThreadPoolExecutor as T\nimport time\n"
            "with T(64) as pool:\n    print(sum(pool.map(lambda n: time.sleep(0.02) or n, range(128))))",
            "8128\n",
        ),
        ("print(len(str(3 ** 20000)), int('9' * 5000) % 7)", "9543 1\n"),
        ("open('/tmp/a', 'w').write('x')\nprint(open('/tmp/a').read(), open('a').read())", "x x\n"),
        ("import os, tempfile\nprint(os.path.realpath(tempfile.gettempdir()) == os.getcwd())", "True\n"),
        ("import locale\nprint(locale.setlocale(locale.LC_ALL, ''))", "C.UTF-8\n"),
        (
            "import sys, functools\nsys.setrecursionlimit(10 ** 6)\n@functools.lru_cache(None)\n"
            "def f(n):\n    return n and 1 + f(n - 1)\nprint(f(50_000))",
            "50000\n",
        ),
        ("import sys\nprint(open(0).read(), sys.stdin.isatty())", "given False\n"),
    ],
)
def test_what_models_write_runs(pool, source, stdout):
    result = pool.run(source, stdin="given")
    assert (result.status, result.stderr) == ("ok", "")
    assert result.stdout.startswith(stdout)


def test_exit_takes_a_code(pool):
    assert pool.run("exit(3)").exit_code == 3
    result = pool.run("quit('no solution')")
    assert (result.status, result.stderr) == ("error", "no solution\n")


NETWORK = [
    "import urllib.request\nurllib.request.urlopen('http://example.org')",
    "import socket\nsocket.create_connection(('127.0.0.1', 80))",
    "import socket\nsocket.gethostbyname('example.org')",
    "import http.client\nhttp.client.HTTPSConnection('example.org').request('GET', '/')",
    "import asyncio\nasyncio.run(asyncio.open_connection('127.0.0.1', 80))",
    "import urllib.request as u\ntry:\n    u.urlopen('http://a.b')\nexcept OSError as e:\n    raise ValueError from e",
]
PROCESSES = [
    "import subprocess\nsubprocess.run(['ls'])",
    "import subprocess, sys\nsubprocess.check_call([sys.executable, '-m', 'pip', 'install', 'x'])",
    "import os\nos.fork()",
    "from multiprocessing import Process\nProcess(target=print).start()",
    "from multiprocessing import Pool\nwith Pool(2) as p:\n    p.map(abs, [1])",
    "from concurrent.futures import ProcessPoolExecutor as P\nwith P() as p:\n    print(list(p.map(abs, [1])))",
]


@pytest.mark.parametrize(
    ("source", "advice"),
    [
        *((source, "There is no network here") for source in NETWORK),
        *((source, "no other processes") for source in PROCESSES),
        ("!pip install numpy\nprint(1)", "nothing can be installed"),
        ("x = 1\n%matplotlib inline", "of notebooks"),
        ("print(open('/dev/stdin').read())", "sys.stdin"),
        ("x = " + "not " * 50_000 + "1", "nested too deeply"),
    ],
)
def test_a_refusal_ends_with_one_sentence_on_what_to_do(pool, source, advice):
    result = pool.run(source)
    assert result.status == "error"
    lines = result.stderr.splitlines()
    assert lines[-1].startswith("[")
    assert advice in lines[-1]
    assert len(lines) < 9
    assert sum(line.startswith("Traceback") for line in lines) <= 1
    assert "/lib/" not in result.stderr


def test_too_deep_a_recursion_in_c_says_what_to_do(pool):
    source = (
        "import sys, functools\nsys.setrecursionlimit(10 ** 9)\n@functools.lru_cache(None)\n"
        "def f(n):\n    return 1 + f(n + 1)\nf(0)"
    )
    result = pool.run(source)
    assert result.status in ("killed", "memory")
    assert "recursion" in result.stderr or result.status == "memory"


def test_other_errors_are_reported_as_python_does(pool):
    source = "import json\ntry:\n    json.loads('{')\nexcept ValueError as error:\n    raise KeyError('k') from error"
    result = pool.run(source)
    assert "json/decoder.py" in result.stderr
    assert "direct cause" in result.stderr
    assert result.stderr.endswith("KeyError: 'k'\n")


def test_a_temporary_path_that_is_not_the_programs_own_says_what_to_do(plain_folder):
    result = plain_folder.run("open('/tmp/agent0-test', 'w')")
    assert "[Only the working folder" in result.stderr
    assert plain_folder.run("open('agent0-test', 'w').write('x')\nprint(open('agent0-test').read())").stdout == "x\n"


def test_a_temporary_file_is_gone_in_the_next_run_and_unseen_beside(pool):
    source = "import os, time\nopen('/tmp/mine', 'a').write('x')\ntime.sleep(0.2)\nprint(open('/tmp/mine').read())"
    assert [result.stdout for result in pool.run_many([source] * 6)] == ["x\n"] * 6


@pytest.mark.parametrize("kind", ["Lock", "RLock", "Semaphore", "BoundedSemaphore"])
def test_semaphores_between_threads_do_what_those_of_the_system_do(pool, kind):
    program = f"""
import multiprocessing, threading
lock = multiprocessing.{kind}()
seen = [lock.acquire(), lock.acquire(False), lock.acquire(timeout=0.01), lock.acquire(True, -1)]
def other():
    seen.append(lock.acquire(timeout=0.01))
    try:
        lock.release()
        seen.append("released")
    except (AssertionError, ValueError) as error:
        seen.append(str(error))
def run(target):
    thread = threading.Thread(target=target)
    thread.start()
    thread.join()
run(other)
for _ in range(5):
    try:
        lock.release()
        seen.append("released")
    except (AssertionError, ValueError) as error:
        seen.append(str(error))
"""
    names = {}
    exec(compile(program, "program", "exec"), names)
    assert pool.run(program + "print(seen)").stdout == f"{names['seen']}\n"
