"""The process that makes questions of reasoning-gym, so that they are the same ones wherever they are made.

`python -m agent0.benchmarks.gym_questions < orders > questions` reads a line of JSON for each family (`Order`) and
writes a line for each question (`Made`), or one that says why it cannot. It is a process of its own because several
families go through sets of texts, whose order is that of Python's hash seed: `make` fixes it. It also keeps what the
package imports and prints out of the caller.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from agent0.answers.math_verify_pool import worker_environment
from agent0.benchmarks.spec import BenchmarkError

_REPAIR = "install it again: pip install --force-reinstall --no-deps reasoning-gym."
_TRIES = 20  # per question that is wanted: half are of the other kind, and small families repeat themselves


@dataclass(frozen=True)
class Order:
    """So many different questions of a family, drawn from a seed: probes, or questions of the benchmark."""

    family: str
    seed: int
    count: int
    probes: bool


@dataclass(frozen=True)
class Made:
    """A question; `answer` is empty where the family has no single one, `entry` is the package's own, as a literal."""

    family: str
    index: int
    question: str
    answer: str
    entry: str


def make(orders: Sequence[Order]) -> list[Made]:
    """Return the questions of all orders, each family's in the order in which the package makes them.

    Raises:
        BenchmarkError: a family cannot be made, or has not so many different questions.
    """
    done = subprocess.run(
        [sys.executable, "-P", "-m", "agent0.benchmarks.gym_questions"],
        input="".join(json.dumps(asdict(order)) + "\n" for order in orders),
        capture_output=True,
        text=True,
        check=False,
        env={**worker_environment(), "PYTHONHASHSEED": "0"},
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    failed = next((line["error"] for line in lines if "error" in line), None)
    if failed or done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        raise BenchmarkError(failed or f"reasoning-gym cannot make its questions: {last}; {_REPAIR}")
    return [Made(**line) for line in lines]


def is_probe(question: str) -> bool:
    """Return whether a question may be a probe; half of all are, by their text, and those are never held out."""
    return hashlib.sha256(question.encode()).digest()[0] % 2 == 1


def _made(order: Order) -> Iterator[Made]:
    """Yield the questions of one order.

    Raises:
        Exception: whatever the family raises; there is no closed list.
    """
    from reasoning_gym import create_dataset

    tries = _TRIES * order.count
    dataset = create_dataset(order.family, size=tries, seed=order.seed)
    seen: set[str] = set()
    for index in range(tries):
        entry: dict[str, Any] = dataset[index]
        question = entry["question"]
        if question in seen or is_probe(question) is not order.probes:
            continue
        seen.add(question)
        answer = "" if entry["answer"] is None else str(entry["answer"])
        yield Made(order.family, index, question, answer, repr(_plain(entry)))
        if len(seen) == order.count:
            return
    raise BenchmarkError(
        f"gym:{order.family} has {len(seen)} different questions for this use, and {order.count} are wanted; ask for "
        "fewer (evaluation.questions_per_level, execution.known_count)."
    )


def _plain(value: Any) -> Any:
    """Return an entry's value as what a literal can hold; the rest, which no verifier reads, as its text."""
    if isinstance(value, dict):
        return {_plain(key): _plain(held) for key, held in value.items()}
    for container in (list, tuple, set):
        if isinstance(value, container):
            return container(_plain(held) for held in value)
    if value is None or (isinstance(value, float) and math.isfinite(value)):
        return None if value is None else float(value)
    exact = next((kind for kind in (bool, int, str) if isinstance(value, kind)), str)
    return exact(value)


def main() -> None:
    """Answer the orders on the standard input."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # some families print while they make a question
    for line in sys.stdin:
        order = Order(**json.loads(line))
        try:
            replies.writelines(json.dumps(asdict(made)) + "\n" for made in _made(order))
        except BenchmarkError as error:
            replies.write(json.dumps({"error": str(error)}) + "\n")
        except Exception as error:  # a family's failures have no common base
            told = f"gym:{order.family} cannot be made by reasoning-gym: {error!r}. Name another family."
            replies.write(json.dumps({"error": told}) + "\n")
    replies.flush()


if __name__ == "__main__":
    main()
