"""How fast the sandbox is next to fresh interpreters, and what 10,000 runs and hostile neighbours do to it.

Prints one table; `--check` exits with 1 when a bar is missed. All ratios are measured side by side in this process.
Leaves out the attack corpus, which is `agent0 sandbox attack`.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil

from agent0.config import SandboxSettings
from agent0.sandbox import SandboxPool

PROGRAM = "import sympy, numpy\nprint(2 + 3)"
HONEST = "import sympy\nx = sympy.symbols('x')\nprint(sympy.solve(x**2 - 5*x + 6))"
HOSTILE = (
    "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
    "blocks = []\nwhile True: blocks.append(bytearray(1 << 20))",
    "while True: pass",
)
SETTINGS = SandboxSettings(workers=2, preload=("numpy", "sympy"), timeout_seconds=20.0)


@dataclass(frozen=True)
class Row:
    """One line of the table: what was measured, the bar, and whether it is met."""

    name: str
    measured: str
    bar: str
    met: bool


def seconds(action: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    before = time.perf_counter()
    action()
    return time.perf_counter() - before


def fresh() -> None:
    """The program in a fresh interpreter, as a sandbox without a fork server runs it."""
    subprocess.run([sys.executable, "-I", "-c", PROGRAM], check=True, capture_output=True)


def must_be_five(pool: SandboxPool) -> None:
    """The program in the sandbox."""
    result = pool.run(PROGRAM)
    if result.stdout != "5\n":
        raise SystemExit(f"The program failed in the sandbox: {result}")


def latency(pool: SandboxPool, rounds: int) -> list[Row]:
    """Sequential runs of both kinds, interleaved so that a busy moment hits both."""
    slow: list[float] = []
    fast: list[float] = []
    for _ in range(rounds):
        slow.append(seconds(fresh))
        fast += [seconds(lambda: must_be_five(pool)) for _ in range(20)]
    fresh_ms, ours_ms = statistics.median(slow) * 1e3, statistics.median(fast) * 1e3
    ratio = fresh_ms / ours_ms
    return [
        Row("latency, fresh interpreter (median)", f"{fresh_ms:.0f} ms", "", True),
        Row("latency, sandbox (median)", f"{ours_ms:.1f} ms", "<= 25 ms", ours_ms <= 25),
        Row("latency, sandbox (fastest)", f"{min(fast) * 1e3:.1f} ms", "", True),
        Row("latency, fresh / sandbox", f"{ratio:.0f} x", ">= 30 x", ratio >= 30),
    ]


def throughput(pool: SandboxPool, rounds: int) -> list[Row]:
    """Programs per second with two at a time; the best round of each kind."""
    slow = fast = 0.0
    with ThreadPoolExecutor(2) as threads:
        for _ in range(rounds):
            slow = max(slow, 6 / seconds(lambda: list(threads.map(lambda _: fresh(), range(6)))))
            fast = max(fast, 200 / seconds(lambda: pool.run_many([PROGRAM] * 200)))
    return [
        Row("throughput, 2 fresh interpreters", f"{slow:.1f} /s", "", True),
        Row("throughput, sandbox with 2 workers", f"{fast:.0f} /s", "", True),
        Row("throughput, sandbox / fresh", f"{fast / slow:.0f} x", ">= 20 x", fast / slow >= 20),
    ]


def endurance(runs: int) -> list[Row]:
    """Many runs in one fork server, never recycled: what grows, what is left."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        scratch.chmod(0o711)
        with SandboxPool(SETTINGS, recycle_after=10 * runs, scratch_dir=scratch) as pool:
            pool.run_many([PROGRAM] * 200)
            server = psutil.Process(pool.server_pids()[0]).children()[0]
            owner = psutil.Process()

            def reading() -> tuple[float, int, int]:
                return server.memory_info().rss / 2**20, server.num_fds(), owner.num_fds()

            before = reading()
            took = seconds(
                lambda: pool.run_many(f"open('f', 'w').write('x')\nprint({number})" for number in range(runs))
            )
            after = reading()
            zombies = sum(child.status() == psutil.STATUS_ZOMBIE for child in owner.children(recursive=True))
        left = len(list(scratch.iterdir()))
    growth = after[0] / before[0] - 1
    leaked = after[1] - before[1] + after[2] - before[2]
    return [
        Row(f"{runs} runs: per run", f"{took / runs * 1e3:.1f} ms", "", True),
        Row(f"{runs} runs: server memory growth", f"{growth:+.1%} of {before[0]:.0f} MiB", "<= 10 %", growth <= 0.1),
        Row(f"{runs} runs: zombies", str(zombies), "0", zombies == 0),
        Row(f"{runs} runs: descriptors leaked", str(leaked), "0", leaked == 0),
        Row(f"{runs} runs: scratch folders left", str(left), "0", left == 0),
    ]


def honest_latencies(pool: SandboxPool, count: int) -> tuple[list[float], int]:
    """Latencies of honest programs, one after the other, and how many failed."""
    latencies, failed = [], 0
    for _ in range(count):
        before = time.perf_counter()
        failed += pool.run(HONEST).stdout != "[2, 3]\n"
        latencies.append(time.perf_counter() - before)
    return latencies, failed


def neighbours(rounds: int) -> list[Row]:
    """Twenty honest programs alone, then beside a client that runs one hostile program after the other."""
    quiet, crowded, failed = [], [], 0
    with SandboxPool(SETTINGS) as pool:
        pool.run_many([HONEST] * 10)
        for _ in range(rounds):
            latencies, _ = honest_latencies(pool, 20)
            quiet.append(max(latencies))
            stop = threading.Event()

            def attack(stop: threading.Event = stop) -> None:
                while not stop.is_set():
                    for program in HOSTILE:
                        pool.run(program, timeout_seconds=0.5, client="hostile")

            hostile = threading.Thread(target=attack)
            hostile.start()
            try:
                latencies, lost = honest_latencies(pool, 20)
            finally:
                stop.set()
                hostile.join()
            crowded.append(max(latencies))
            failed += lost
    ratio = statistics.median(crowded) / statistics.median(quiet)
    return [
        Row("20 honest programs alone: p99", f"{statistics.median(quiet) * 1e3:.0f} ms", "", True),
        Row("20 honest beside hostile: p99", f"{statistics.median(crowded) * 1e3:.0f} ms", "", True),
        Row("20 honest beside hostile: failed", str(failed), "0", failed == 0),
        Row("p99 beside hostile / alone", f"{ratio:.1f} x", "<= 3 x", ratio <= 3),
    ]


def main() -> None:
    """Measure, print, and judge where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar is missed")
    parser.add_argument("--runs", type=int, default=10_000, help="runs of the endurance part")
    parser.add_argument("--rounds", type=int, default=5, help="repetitions of the other parts")
    options = parser.parse_args()
    with SandboxPool(SETTINGS) as pool:
        pool.run_many([PROGRAM] * 20)
        rows = [*latency(pool, options.rounds), *throughput(pool, options.rounds)]
    rows += neighbours(options.rounds)
    rows += endurance(options.runs)
    for row in rows:
        print(f"{row.name:44}{row.measured:>22}  {row.bar:10}{'' if not row.bar else 'met' if row.met else 'MISSED'}")
    if options.check and not all(row.met for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
