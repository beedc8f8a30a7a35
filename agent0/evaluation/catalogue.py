"""The benchmarks by name."""

from __future__ import annotations

from agent0.errors import UsageError
from agent0.evaluation.bbeh import BBEH, BBEH_MINI
from agent0.evaluation.choice import MMLU_PRO, SUPER_GPQA
from agent0.evaluation.mathematics import AIME_2024, AIME_2025, AMC_2023, GSM8K, MATH, MATH_500, MINERVA_MATH, OLYMPIAD
from agent0.evaluation.spec import Benchmark
from agent0.evaluation.tiny import TINY

BENCHMARKS: tuple[Benchmark, ...] = (
    AMC_2023,
    MINERVA_MATH,
    MATH_500,
    MATH,
    GSM8K,
    OLYMPIAD,
    AIME_2025,
    AIME_2024,
    SUPER_GPQA,
    MMLU_PRO,
    BBEH,
    BBEH_MINI,
    TINY,
)


def benchmark(name: str) -> Benchmark:
    """Return the benchmark called `name`.

    Raises:
        UsageError: there is none.
    """
    for candidate in BENCHMARKS:
        if candidate.name == name:
            return candidate
    raise UsageError(f"There is no benchmark {name!r}; there are {', '.join(b.name for b in BENCHMARKS)}.")
