from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent0.benchmarks.catalogue import BENCHMARKS

REAL_ROWS = Path(__file__).parents[2] / "../shared/data"


@pytest.fixture
def real_rows() -> Path:
    """Folder of real benchmark rows, which are not part of the product."""
    if not REAL_ROWS.is_dir():
        pytest.skip("the real benchmark rows are not on this machine")
    return REAL_ROWS


def made_up(name: str, number: int) -> dict[str, Any]:
    """A row as a benchmark's file has it, with nothing of the real one in it."""
    question, letter = f"Which is {number} of {name}?", "ABC"[number % 3]
    if name in ("mmlu_pro", "super_gpqa"):
        common = {"question": question, "options": [f"x{number}", f"y{number}", f"z{number}"]}
        if name == "mmlu_pro":
            solution = f"A: Let's think step by step. The answer is ({letter})."
            kind = {"category": ["law", "math"][number % 2], "cot_content": solution}
            return {**common, "question_id": number, "answer": letter, "answer_index": number % 3, **kind}
        place = {"discipline": "Science", "field": "Physics", "subfield": ["Optics", "Heat"][number % 2]}
        return {**common, "uuid": f"u{number}", "answer_letter": letter, "difficulty": "easy", **place}
    if name.startswith("bbeh"):
        return {"task": ["linguini", "boolean"][number % 2], "input": question, "target": f"w{number}", "mini": 1}
    return {
        "gsm8k": {"question": question, "answer": f"so\n#### {number}"},
        "aime_2024": {"id": number, "problem": question, "answer": f"{number:03}"},
        "aime_2025": {"problem": question, "answer": str(number)},
        "amc_2023": {"question": question, "answer": float(number)},
        "olympiad": {"question": question, "final_answer": [str(number)], "answer_type": "Numerical"},
    }.get(
        name, {"problem": question, "answer": str(number), "solution": f"\\boxed{{{number}}}", "level": 1 + number % 2}
    )


@pytest.fixture(scope="session")
def made_up_rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with six made-up rows, and shots, of every published benchmark."""
    folder = tmp_path_factory.mktemp("rows")
    for entry in BENCHMARKS:
        if entry.generate is None:
            for stem, numbers in ((entry.name, range(10, 16)), (f"{entry.name}.shots", range(20, 32))):
                lines = [json.dumps(made_up(entry.name, number)) + "\n" for number in numbers]
                (folder / f"{stem}.jsonl").write_text("".join(lines))
    return folder
