r"""The process that runs Math-Verify, and the only call of Math-Verify in the project.

`python -m agent0.answers.math_verify_worker MEMORY_MB` imports Math-Verify once and then forks the process that serves
requests; when that one is killed, the next is forked from the warm image in milliseconds. A request and its
reply are one line of JSON each. The serving process ends itself when its parent is gone (end of input), and
the CPU limit ends it even in the middle of a computation.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from typing import Any


def math_verify_verdict(gold: str, answer: str) -> bool:
    """Whether Math-Verify calls `answer` equivalent to `gold`; unlimited, so only for a killable process.

    Raises:
        Exception: whatever Math-Verify or sympy raise; there is no closed list.
    """
    from math_verify import verify

    return bool(verify(*_parsed(gold, answer), timeout_seconds=None, raise_on_error=True))


def symbolic_verdict(gold: str, answer: str) -> bool:
    """Whether the two are equivalent: read and compared by Math-Verify, numbers by `agent0.answers.number_agreement`.

    Raises:
        Exception: whatever Math-Verify or sympy raise; there is no closed list.
    """
    from math_verify import verify

    from agent0.answers.number_agreement import with_imaginary_unit, with_named_derivatives

    sides = with_imaginary_unit(with_named_derivatives(_parsed(gold, answer)))
    return bool(verify(*sides, timeout_seconds=None, raise_on_error=True))


def compare_numbers_by_value() -> None:
    """Put our comparison of numbers in the place of Math-Verify's, for the rest of this process."""
    from math_verify import grader

    from agent0.answers.number_agreement import numeric_equality, with_symbolic_fallback

    grader.sympy_numeric_eq = numeric_equality
    grader.sympy_symbolic_eq = with_symbolic_fallback(grader.sympy_symbolic_eq)


def _parsed(gold: str, answer: str) -> list[list[Any]]:
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse

    configuration = (LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig())
    return [
        parse(rf"\boxed{{{text}}}", configuration, parsing_timeout=None, raise_on_error=True) for text in (gold, answer)
    ]


def serve(requests: Any, replies: Any, memory_bytes: int) -> None:
    """Answer requests until the input ends.

    Args:
        requests: binary stream of lines `{"number", "gold", "answer", "seconds"}`.
        replies: binary stream for lines `{"number", "verdict": true, false or null}`; null where Math-Verify raised.
        memory_bytes: address space of this process.
    """
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    replies.write(b'\n{"ready": %d}\n' % os.getpid())
    replies.flush()
    for line in requests:
        try:
            request = json.loads(line)
        except ValueError:  # the rest of a line that the process before this one was killed while reading
            continue
        used = resource.getrusage(resource.RUSAGE_SELF)
        cpu_limit = int(used.ru_utime + used.ru_stime + request["seconds"]) + 3
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_limit, resource.RLIM_INFINITY))
        verdict: bool | None
        try:
            verdict = symbolic_verdict(request["gold"], request["answer"])
        except Exception:  # sympy's failures have no common base; each one is the verdict ERROR
            verdict = None
        replies.write(b"%s\n" % json.dumps({"number": request["number"], "verdict": verdict}).encode())
        replies.flush()


def main() -> None:
    """Load Math-Verify, then keep one serving process alive until the input ends."""
    import logging
    import warnings

    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    memory_bytes = int(sys.argv[1]) * 2**20
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # a print inside sympy must not look like a reply
    compare_numbers_by_value()
    symbolic_verdict("x+1", "1+x")  # builds the parser tables that every request needs
    while True:
        child = os.fork()
        if child == 0:
            serve(os.fdopen(0, "rb", buffering=0, closefd=False), replies, memory_bytes)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):  # no more input, or nobody to report to; a killed one is followed by the next
            return


if __name__ == "__main__":
    main()
