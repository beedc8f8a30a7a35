"""Reading rows of the mathematics benchmarks: each gold in its allowed form, or an error that says what it is."""

from __future__ import annotations

import ast
import json
import math
import re
from typing import Any

from agent0.answers import extract_boxed
from agent0.benchmarks.spec import Item, Row

# In `$\boxed 2$` the box ends with the formula (hendrycks/math, last_boxed_only_string).
_BOX_WITHOUT_BRACES = re.compile(r"\\boxed\s++(?!\{)([^$]{1,400}?)(?=\$|\\[)\]])")
_INTEGER = re.compile(r"[0-9]{1,3}(?:\.0+)?")
_NUMBER = re.compile(r"-?[0-9]{1,30}(?:\.[0-9]{1,30})?")


def read_problem(row: Row) -> Item:
    r"""Read a problem with its answer, or with a solution whose last box is the answer.

    Raises:
        ValueError: there is neither.
    """
    gold = row["gold"] if row["gold"] is not None else _last_box(str(row["solution"] or ""))
    if gold is None or not str(gold).strip():
        raise ValueError("there is no answer, and no \\boxed{} in the solution")
    groups = {}
    if row["level"] is not None:
        groups["level"] = str(row["level"]).removeprefix("Level ")
    if row["subject"] is not None:
        groups["subject"] = str(row["subject"])
    return Item(str(row["question"]), str(gold).strip(), groups=groups, id=_name(row["id"]))


def _last_box(solution: str) -> str | None:
    bare = list(_BOX_WITHOUT_BRACES.finditer(solution))
    if bare and "\\boxed{" not in solution[bare[-1].end() :]:
        return bare[-1].group(1)
    return extract_boxed(solution)


def read_gsm8k(row: Row) -> Item:
    """Read a row of GSM8K: the gold follows `#### `, without its thousands commas.

    Raises:
        ValueError: no mark, or no number after it.
    """
    solution, mark, gold = str(row["gold"]).rpartition("#### ")
    number = gold.strip().replace(",", "")
    if not mark or not _NUMBER.fullmatch(number):
        raise ValueError(f"the answer ends in {gold.strip()[:40]!r}, which is no '#### number'")
    return Item(str(row["question"]), number, solution=f"{solution}#### {gold.strip()}")


def read_aime(row: Row) -> Item:
    """Read a row of AIME; golds may be zero-padded texts (`025`) or numbers.

    Raises:
        ValueError: the gold is no integer from 0 to 999.
    """
    text = str(row["gold"]).strip()
    if not _INTEGER.fullmatch(text):
        raise ValueError(f"the gold {text[:40]!r} is no integer from 0 to 999")
    return Item(str(row["question"]), str(int(float(text))), id=_name(row["id"]))


def read_amc(row: Row) -> Item:
    """Read a row of AMC; golds are floats (`27.0`), and become integers where they are whole.

    Raises:
        ValueError: the gold is no finite number.
    """
    text = str(row["gold"]).strip()
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"the gold {text[:40]!r} is no number")
    value = float(text)
    return Item(str(row["question"]), str(int(value)) if value.is_integer() else text, id=_name(row["id"]))


def read_olympiad(row: Row) -> Item:
    """Read a row of OlympiadBench: the gold is the first entry of `final_answer`, which may hold several values.

    Raises:
        ValueError: the list is empty or no list.
    """
    answers = _list(row["gold"])
    if not answers or not str(answers[0]).strip():
        raise ValueError("final_answer has no entry")
    groups = {} if row["kind"] is None else {"answer_type": str(row["kind"])}
    return Item(str(row["question"]), str(answers[0]).strip(), groups=groups, id=_name(row["id"]))


def _list(value: Any) -> list[Any]:
    """A list, an array, or the text of one (JSON or Python, as CSV has it); another text is its own only entry."""
    if not isinstance(value, str):
        return list(value)
    for parse in (json.loads, ast.literal_eval):
        try:
            parsed = parse(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(parsed, list):
            return parsed
    return [value]


def _name(value: Any) -> str:
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)
