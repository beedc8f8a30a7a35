r"""Reading and judging mathematical answers: boxes, GSM8K's marks, integers.

The judging is `agent0.answers`, the one grader of reward, vote and evaluation, save where a benchmark's authors
compare text. Sources are named at each function. Every pattern runs in time linear in the response.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from agent0.answers import Verdict, equivalent_many, extract_answer
from agent0.benchmarks.spec import Item, Rule

_STRICT = re.compile(r"#### (-?[0-9.,]+)")
_FLEXIBLE = re.compile(r"-?[$0-9.,]{2,}|-?[0-9]+")
_FINAL_ANSWER = "Final Answer: The final answer is"
_HOPE = "I hope it is correct"
_INTEGER = re.compile(r"[0-9]{1,4}")
_MAX_INTEGER_TEXT = 300


def boxed(response: str, item: Item) -> str | None:
    r"""Return the content of the last `\boxed{}` outside programs and thoughts."""
    return extract_answer(response)


def gsm8k_strict(response: str, item: Item) -> str | None:
    """Return the number after the first `#### ` (lm-evaluation-harness, gsm8k version 3, filter strict-match)."""
    match = _STRICT.search(response)
    return match.group(1) if match else None


def gsm8k_flexible(response: str, item: Item) -> str | None:
    """Return the last thing that looks like a number (the same task's filter flexible-extract)."""
    last = None
    for match in _FLEXIBLE.finditer(response):
        last = match
    return last.group() if last else None


def gsm8k_text(text: str) -> str:
    """Return what GSM8K's exact match compares: no `,`, no `$`, nothing up to the last `#### `, no final `.`."""
    text = text.rpartition("#### ")[2].replace(",", "").replace("$", "")
    return text.removesuffix("\n").removesuffix(".").lower()


def minerva_answer(response: str, item: Item) -> str | None:
    """Return what stands in `Final Answer: The final answer is … I hope it is correct.`, else the last box.

    The frame is that of Lewkowycz et al. 2022, App. D; the box is accepted because models of today write one.
    """
    _, frame, tail = response.partition(_FINAL_ANSWER)
    if frame:
        answer, end, _ = tail.partition(_HOPE)
        if end and answer.strip(" .\n"):
            return answer.strip().removesuffix(".").strip()
    return extract_answer(response)


def graded(pairs: Sequence[tuple[Item, str]]) -> list[Verdict]:
    """Judge by the shared grader: mathematically equivalent to the gold."""
    return equivalent_many((item.gold, answer) for item, answer in pairs)


def same_text(pairs: Sequence[tuple[Item, str]]) -> list[Verdict]:
    """Judge as GSM8K's exact match does."""
    return [_verdict(gsm8k_text(answer) == gsm8k_text(item.gold)) for item, answer in pairs]


def same_integer(pairs: Sequence[tuple[Item, str]]) -> list[Verdict]:
    r"""Judge AIME answers: an integer from 0 to 999, compared as an integer, never as a float.

    `025`, `$25$` and `25^\circ` state 25; what is not plainly an integer goes to the shared grader, so that
    `\frac{50}{2}` counts and `25.0001` does not.
    """
    verdicts: list[Verdict | None] = [_integer_verdict(item, answer) for item, answer in pairs]
    open_pairs = [pair for pair, verdict in zip(pairs, verdicts, strict=True) if verdict is None]
    rest = iter(graded(open_pairs))
    return [next(rest) if verdict is None else verdict for verdict in verdicts]


def _integer_verdict(item: Item, answer: str) -> Verdict | None:
    if len(answer) > _MAX_INTEGER_TEXT:
        return Verdict.FALSE
    text = answer.strip().strip("$").strip().removesuffix("^\\circ").removesuffix(".")
    return _verdict(int(text) == int(item.gold)) if _INTEGER.fullmatch(text) else None


def _verdict(same: bool) -> Verdict:
    return Verdict.TRUE if same else Verdict.FALSE


BOXED = Rule(boxed, graded, "last box; the shared grader")
BOXED_INTEGER = Rule(boxed, same_integer, "last box; integers compared as integers")
GSM8K_STRICT = Rule(gsm8k_strict, same_text, "lm-evaluation-harness gsm8k v3, strict-match")
GSM8K_FLEXIBLE = Rule(gsm8k_flexible, same_text, "lm-evaluation-harness gsm8k v3, flexible-extract")
MINERVA = Rule(minerva_answer, graded, "Lewkowycz et al. 2022, App. D, or the last box; the shared grader")
