"""What `agent0 evaluate` shows of a benchmark whose samples are mostly invalid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent0.evaluation.sample_store import SampleRecord

END_CHARACTERS = 200
"""Of a question and of a response, from their ends, where answers stand."""


def invalid_text(benchmark: str, samples: Sequence[SampleRecord]) -> str:
    """Return a few samples that no answer was read from, to see what is at fault."""
    told = [f"{benchmark}: most samples hold no answer that its rule reads. Some of them, their ends:"]
    for sample in samples:
        told += ["", f"  asked  {_end(sample.question)}", f"  wrote  {_end(sample.text)}   ({sample.finish})"]
    return "\n".join([*told, ""])


def _end(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= END_CHARACTERS else f"…{flat[-END_CHARACTERS:]}"
