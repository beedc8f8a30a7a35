import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent0.answers import Grader, Verdict
from agent0.answers.math_verify_pool import Worker

SLOW = "(999*999)!"  # passes the guards, runs for minutes


@pytest.fixture(scope="module")
def grader():
    with Grader(workers=2, seconds=10) as shared:
        yield shared


@pytest.fixture
def new_processes():
    """Give a function that lists the processes started since the test began and still alive."""
    before = set(psutil.Process().children(recursive=True))
    return lambda: set(psutil.Process().children(recursive=True)) - before


@pytest.mark.parametrize(
    ("gold", "answer", "verdict"),
    [
        ("x+1", "1+x", Verdict.TRUE),
        ("x+1", "x+2", Verdict.FALSE),
        ("x^2-1", "(x-1)(x+1)", Verdict.TRUE),
        ("1/3", "0.333333", Verdict.TRUE),
        (r"2\sqrt{3}", r"\sqrt{12}", Verdict.TRUE),
        (r"(-\infty, 1) \cup (2, \infty)", r"(2,\infty)\cup(-\infty,1)", Verdict.TRUE),
        ("12 cm", "12", Verdict.TRUE),
        ("0<x<1", "(0,1)", Verdict.TRUE),
        ("(0,1)", "0<x<1", Verdict.FALSE),
        ("5", None, Verdict.NO_ANSWER),
        ("5", " ", Verdict.NO_ANSWER),
        (None, None, Verdict.NO_ANSWER),
        (None, "5", Verdict.ERROR),
        ("", "5", Verdict.ERROR),
        ("5", "7^{7^{7}}", Verdict.ERROR),
        ("x", r"\frac{1}{2", Verdict.ERROR),
        ("nan", "NaN", Verdict.TRUE),
        ("nan", "1", Verdict.FALSE),
        ("inf", r"\infty", Verdict.TRUE),
        ("-inf", r"\infty", Verdict.FALSE),
        ("1/0", "1/0", Verdict.TRUE),
        ("１２", "12", Verdict.TRUE),
    ],
)
def test_verdicts(grader, gold, answer, verdict):
    assert grader.equivalent(gold, answer) is verdict


@settings(max_examples=60)
@given(st.text(max_size=40), st.text(alphabet="0123456789x+-*/^(){}[],.%$\\ frac", max_size=30))
def test_any_two_texts_get_a_verdict(grader, gold, answer):
    assert isinstance(grader.equivalent(gold, answer), Verdict)
    assert isinstance(grader.equivalent(answer, gold), Verdict)


def test_plain_pairs_start_no_process_and_import_neither_sympy_nor_math_verify():
    code = (
        "import sys; from agent0.answers import equivalent, equivalent_many, majority_vote\n"
        "equivalent('1,000', '1000'); equivalent_many([('1/2', '0.5'), ('A', '(B)')])\n"
        "majority_vote(['1', None, '2'])\n"
        "import psutil; assert not psutil.Process().children()\n"
        "assert not {'sympy', 'math_verify', 'numpy', 'scipy'} & set(sys.modules), sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_caller_never_imports_sympy_even_when_a_worker_decides():
    code = (
        "import sys; from agent0.answers import equivalent\n"
        "assert equivalent('x+1', '1+x').correct\n"
        "assert 'sympy' not in sys.modules and 'math_verify' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_script_without_a_main_guard_may_grade(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("from agent0.answers import equivalent\nprint(equivalent('x+1', '1+x').name)\n")
    result = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout == "TRUE\n"


def test_a_comparison_past_the_limit_is_a_timeout_and_the_next_one_works(new_processes):
    with Grader(workers=1, seconds=1) as limited:
        assert limited.equivalent("x+1", "1+x") is Verdict.TRUE
        start = time.perf_counter()
        assert limited.equivalent("5", SLOW) is Verdict.TIMEOUT
        assert time.perf_counter() - start < 3
        assert limited.equivalent("x+2", "2+x") is Verdict.TRUE
        start = time.perf_counter()
        assert limited.equivalent("5", SLOW) is Verdict.TIMEOUT  # remembered
        assert time.perf_counter() - start < 0.5
    assert not new_processes()


def test_a_worker_runs_under_its_memory_limit():
    worker = Worker(memory_mb=700)
    try:
        assert worker.ask("x+1", "1+x", 30) is Verdict.TRUE
        assert psutil.Process(worker._serving).rlimit(psutil.RLIMIT_AS) == (700 * 2**20, 700 * 2**20)
    finally:
        worker.close()


def test_a_killed_worker_is_an_error_and_is_replaced():
    worker = Worker(memory_mb=1024)
    try:
        assert worker.ask("x+1", "1+x", 10) is Verdict.TRUE
        serving = worker._serving
        threading.Timer(0.5, os.kill, (serving, signal.SIGKILL)).start()
        assert worker.ask("5", SLOW, 20) is Verdict.ERROR
        assert worker.ask("x+1", "1+x", 10) is Verdict.TRUE
        assert worker._serving != serving
    finally:
        worker.close()
    assert not worker.alive


def test_a_worker_killed_while_idle_never_mixes_up_its_answers():
    worker = Worker(memory_mb=1024)
    try:
        assert worker.ask("x+1", "1+x", 10) is Verdict.TRUE
        for _ in range(3):
            os.kill(worker._serving, signal.SIGKILL)
            assert worker.ask("x+1", "1+x", 10) in (Verdict.ERROR, Verdict.TRUE)
            assert worker.ask("x+1", "x+2", 10) is Verdict.FALSE
            assert worker.ask("x+1", "1+x", 10) is Verdict.TRUE
    finally:
        worker.close()


def test_answers_that_come_just_at_the_limit_do_not_confuse_the_next_ones():
    worker = Worker(memory_mb=1024)
    try:
        for step in range(40):
            first = worker.ask("(x+1)^2", "x^2+2x+1", 0.0005 * step)
            assert first in (Verdict.TIMEOUT, Verdict.TRUE)
            assert worker.ask("x+1", f"x+{step + 2}", 10) is Verdict.FALSE
    finally:
        worker.close()


def test_a_batch_keeps_its_order_and_hostile_answers_do_not_hold_it_up(new_processes):
    ordinary = [(str(number), str(number + number % 2)) for number in range(300)]
    hostile = ["10^{10^{10}}", "9" * 2**20, "(" * 500 + "1" + ")" * 500, "1000000!", "__import__('os').system('id')"]
    with Grader(workers=2, seconds=2) as limited:
        start = time.perf_counter()
        verdicts = limited.equivalent_many([*ordinary, *(("42", answer) for answer in hostile), ("42", SLOW)])
        seconds = time.perf_counter() - start
    assert [verdict is Verdict.TRUE for verdict in verdicts[:300]] == [number % 2 == 0 for number in range(300)]
    assert set(verdicts[300:]) <= {Verdict.TIMEOUT, Verdict.ERROR, Verdict.FALSE}
    assert seconds < 10
    assert not new_processes()


def test_many_threads_may_share_a_grader(grader):
    results = {}

    def compare(number):
        results[number] = [grader.equivalent(f"x+{number}+{step}", f"{step}+{number}+x") for step in range(4)]

    threads = [threading.Thread(target=compare, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert results == {number: [Verdict.TRUE] * 4 for number in range(8)}


def test_asyncio_goes_on_while_a_worker_compares(grader):
    async def main():
        ticks = 0
        comparison = asyncio.create_task(grader.equivalent_async("y+77", "77+y"))
        while not comparison.done():
            ticks += 1
            await asyncio.sleep(0.001)
        return await comparison, ticks

    verdict, ticks = asyncio.run(main())
    assert verdict is Verdict.TRUE
    assert ticks > 0


def test_a_cancelled_waiter_does_not_cancel_the_comparison_for_others(grader):
    async def main():
        first = asyncio.create_task(grader.equivalent_async("z+78", "78+z"))
        second = asyncio.create_task(grader.equivalent_async("z+78", "78+z"))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert asyncio.run(main()) is Verdict.TRUE


def test_a_closed_grader_may_be_used_again(new_processes):
    grader = Grader(workers=1)
    assert grader.equivalent("x+3", "3+x") is Verdict.TRUE
    grader.close()
    grader.close()
    assert not new_processes()
    assert grader.equivalent("x+4", "4+x") is Verdict.TRUE
    grader.close()


def test_the_cache_keeps_no_more_than_its_size():
    with Grader(workers=1, cache_size=3) as small:
        for number in range(6):
            small.equivalent(f"x+{number}", f"{number}+x")
        assert len(small._cache) == 3


def test_a_forked_copy_of_the_process_grades_with_workers_of_its_own(grader):
    assert grader.equivalent("w+1", "1+w") is Verdict.TRUE
    child = os.fork()
    if child == 0:
        verdict = grader.equivalent("w+2", "2+w")
        grader.close()
        os._exit(0 if verdict is Verdict.TRUE else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert grader.equivalent("w+3", "3+w") is Verdict.TRUE


def test_no_worker_outlives_a_killed_caller():
    code = (
        "import time, psutil; from agent0.answers import equivalent; equivalent('x+1', '1+x')\n"
        "print(*[child.pid for child in psutil.Process().children(recursive=True)], flush=True); time.sleep(60)\n"
    )
    caller = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    workers = [psutil.Process(int(pid)) for pid in caller.stdout.readline().split()]
    assert workers
    caller.kill()
    caller.wait()
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


def test_a_worker_whose_caller_is_gone_before_it_is_ready_ends():
    command = [sys.executable, "-P", "-m", "agent0.answers.math_verify_worker", "1024"]
    worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    worker.stdin.close()
    worker.stdout.close()
    assert worker.wait(60) == 0


def test_math_verify_is_called_in_one_place_only():
    root = Path(__file__).parents[2]
    call = re.compile(r"^\s*(from|import) math_verify|math_verify\.(parse|verify)\(", re.MULTILINE)
    rooms = ("agent0", "components", "pipelines", "benchmarks")
    files = [path for room in rooms for path in (root / room).rglob("*.py") if call.search(path.read_text("utf-8"))]
    assert [str(path.relative_to(root)) for path in files] == ["agent0/answers/math_verify_worker.py"]
