"""The figures of Agent0's paper (arXiv 2511.16043v1) that ours are compared with, and how each was judged.

Facts with their place, not results of ours: none has been reproduced here. The paper gives no interval, so one is
derived from the number of questions; for mean@32 it is the widest that 32 samples a question allow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from agent0.benchmarks.catalogue import benchmark
from agent0.evaluation.statistics import Interval, bounded

PAPER = "arXiv 2511.16043v1"
MATHEMATICS = ("amc_2023", "minerva", "math_500", "gsm8k", "olympiad", "aime_2025", "aime_2024")
GENERAL = ("super_gpqa", "mmlu_pro", "bbeh")
COMPARED = (*MATHEMATICS, *GENERAL)
_MEAN_AT_32 = ("amc_2023", "aime_2024", "aime_2025")


@dataclass(frozen=True)
class ReferenceRow:
    """A row of the paper: percent by benchmark, in the order of `COMPARED`."""

    base: str
    method: str
    tool: bool
    tables: str
    percent: tuple[float, ...]
    remark: str = ""

    def interval(self, name: str) -> Interval | None:
        """Return the figure of a benchmark as a share with its derived interval; None where the paper has none."""
        if name not in COMPARED:
            return None
        share = self.percent[COMPARED.index(name)] / 100
        return bounded(share, math.sqrt(share * (1 - share) / benchmark(name).dataset.rows))

    def printed(self, name: str) -> str:
        """Return the figure of a benchmark in percent as the paper prints it: three digits, of small ones all."""
        percent = self.percent[COMPARED.index(name)]
        return f"{percent:.1f}" if round(percent, 1) == percent else f"{percent:.2f}"


_REUSED = "equal to the row that R-Zero published"
_MAIN, _ITERATIONS = "Tables 1, 2", "Tables 10, 11"
_4B, _8B = "qwen3-4b-base", "qwen3-8b-base"
ROWS: tuple[ReferenceRow, ...] = (
    ReferenceRow(_4B, "base", False, _MAIN, (45.7, 38.2, 68.2, 87.8, 41.0, 6.15, 10.9, 20.9, 37.4, 7.57), _REUSED),
    ReferenceRow(_4B, "base with tool", True, _MAIN, (46.3, 39.6, 71.0, 88.6, 43.7, 7.71, 12.3, 25.8, 42.9, 8.32)),
    ReferenceRow(_4B, "Absolute Zero", True, _MAIN, (50.0, 41.9, 76.2, 89.3, 41.5, 13.4, 12.2, 27.1, 52.6, 8.3)),
    ReferenceRow(_4B, "SPIRAL", False, _MAIN, (57.5, 42.4, 76.4, 91.0, 38.4, 10.0, 13.3, 27.1, 53.2, 9.57)),
    ReferenceRow(_4B, "R-Zero", False, _MAIN, (57.3, 52.9, 79.6, 92.1, 44.6, 4.27, 12.7, 27.6, 51.5, 10.4), _REUSED),
    ReferenceRow(
        _4B, "Agent0 iteration 1", True, _ITERATIONS, (59.8, 55.0, 79.9, 92.6, 46.1, 13.0, 16.8, 28.9, 55.1, 10.7)
    ),
    ReferenceRow(
        _4B, "Agent0 iteration 2", True, _ITERATIONS, (60.0, 55.1, 80.2, 92.5, 46.5, 13.8, 17.1, 29.3, 55.3, 11.0)
    ),
    ReferenceRow(
        _4B, "Agent0 iteration 3", True, _ITERATIONS, (60.6, 55.6, 80.5, 92.6, 46.7, 14.1, 17.4, 29.9, 55.9, 12.0)
    ),
    ReferenceRow(_8B, "base", False, _MAIN, (52.0, 50.0, 78.0, 89.1, 44.7, 16.7, 13.9, 28.3, 51.8, 8.6), _REUSED),
    ReferenceRow(_8B, "base with tool", True, _MAIN, (60.3, 54.9, 79.2, 90.7, 47.9, 18.7, 20.9, 29.5, 54.8, 9.37)),
    ReferenceRow(_8B, "Absolute Zero", True, _MAIN, (62.5, 52.9, 76.6, 92.0, 47.8, 18.2, 18.4, 33.5, 62.5, 10.8)),
    ReferenceRow(_8B, "R-Zero", False, _MAIN, (61.7, 60.7, 82.0, 94.1, 48.9, 19.2, 16.4, 31.4, 58.2, 10.6), _REUSED),
    ReferenceRow(
        _8B,
        "Socratic-Zero",
        False,
        _MAIN,
        (63.7, 52.4, 81.2, 87.3, 55.1, 24.5, 28.4, 30.1, 60.9, 9.5),
        "draws on an external API",
    ),
    ReferenceRow(
        _8B, "Agent0 iteration 1", True, _ITERATIONS, (57.3, 59.0, 81.6, 93.9, 48.4, 20.9, 24.9, 32.5, 62.2, 13.0)
    ),
    ReferenceRow(
        _8B, "Agent0 iteration 2", True, _ITERATIONS, (59.2, 60.1, 81.9, 94.0, 51.2, 22.9, 26.1, 32.5, 62.4, 13.6)
    ),
    ReferenceRow(
        _8B, "Agent0 iteration 3", True, _ITERATIONS, (62.4, 61.3, 82.4, 94.5, 54.0, 24.8, 28.0, 33.0, 63.4, 13.7)
    ),
)
BASES = (_4B, _8B)

JUDGING = (
    "The paper (§4.1) states pass@1 by greedy decoding, and mean@32 on AMC and AIME at a temperature that is given "
    "nowhere. Its App. A.2 (Table 8) has GPT-4o at temperature 0.1 as the judge, with the response in the place of the "
    "truth. No evaluation code is released, and no figure has been reproduced here."
)
JUDGED_BY = {
    **dict.fromkeys(MATHEMATICS, "greedy, GPT-4o judge"),
    **dict.fromkeys(_MEAN_AT_32, "mean@32, GPT-4o judge"),
    "super_gpqa": "greedy, rule not stated",
    "mmlu_pro": "greedy, rule not stated",
    "bbeh": "greedy, micro average (inferred)",
}
"""How the paper came to its figure, by benchmark."""
