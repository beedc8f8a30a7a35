from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent0.benchmarks.spec import BenchmarkError, Item
from agent0.evaluation.contamination import ContaminationIndex, published_items

LONG = (
    "A train leaves the station at noon and travels north at sixty miles per hour while another train leaves two hours "
    "later and follows it at ninety miles per hour. When does the second train reach the first?"
)
MIDDLE = "How many positive divisors does the number 5040 have?"
SHORT = "What is 3 + 4?"


@pytest.fixture
def index() -> ContaminationIndex:
    tests = [("gsm8k", Item(LONG, "6", id="g1")), ("math_500", Item(MIDDLE, "60", id="m1"))]
    return ContaminationIndex([*tests, ("tiny", Item(SHORT, "7", id="t1"))])


def test_the_same_question_is_found_whatever_its_case_and_punctuation(index: ContaminationIndex) -> None:
    match = index.find("task", LONG.upper().replace(".", " ;"))
    assert match is not None
    assert (match.benchmark, match.item_id, match.kind, match.coverage) == ("gsm8k", "g1", "exact", 1.0)


def test_a_question_within_a_task_is_nearly_the_same(index: ContaminationIndex) -> None:
    match = index.find("task", f"Solve this. {LONG} Answer in hours.")
    assert match is not None
    assert (match.kind, match.coverage) == ("near", 1.0)
    assert match.shared.startswith("a train leaves the station")


def test_a_shared_run_of_thirteen_words_is_an_overlap_and_is_shown(index: ContaminationIndex) -> None:
    run = " ".join(LONG.split()[5:18])
    match = index.find("task", f"Somebody said {run} yesterday")
    assert match is not None
    assert match.kind == "overlap"
    assert match.shared == run
    assert 0 < match.coverage < 0.1
    assert index.find("task", f"Somebody said {' '.join(LONG.split()[5:17])} yesterday") is None


def test_a_question_of_eight_to_twelve_words_counts_as_a_whole(index: ContaminationIndex) -> None:
    match = index.find("task", f"Tell me: {MIDDLE} Prove it.")
    assert match is not None
    assert (match.benchmark, match.kind) == ("math_500", "near")
    assert index.find("task", MIDDLE.replace("5040", "720")) is None


def test_a_short_question_is_found_only_where_it_is_the_same_sign_for_sign(index: ContaminationIndex) -> None:
    match = index.find("task", "what is 3+4")
    assert match is not None
    assert match.kind == "exact"
    assert index.find("task", "What is 3 - 4?") is None
    assert index.find("task", "Well, what is 3 + 4?") is None


def test_the_question_that_is_covered_most_is_named() -> None:
    start = " ".join(f"start{i}" for i in range(20))
    items = [Item(f"{start} {name} " + " ".join(f"{name}{i}" for i in range(20)), "1", id=name) for name in "ab"]
    match = ContaminationIndex(("bbeh", item) for item in items).find("task", "Please: " + items[1].question)
    assert match is not None
    assert (match.item_id, match.coverage) == ("b", 1.0)


@pytest.mark.parametrize("question", ["", "?!", "word", "\x00" * 100, "word " * 5000])
def test_a_task_of_nothing_known_matches_nothing(index: ContaminationIndex, question: str) -> None:
    assert index.find("task", question) is None


words = st.lists(st.sampled_from(("alpha", "beta", "gamma", "delta", "epsilon", "zeta")), min_size=1, max_size=40)


@given(words, words)
def test_hashes_find_what_comparing_all_runs_finds(test: list[str], task: list[str]) -> None:
    length = min(13, len(test))
    runs = {tuple(test[i : i + length]) for i in range(len(test) - length + 1)}
    shares = any(tuple(task[i : i + length]) in runs for i in range(len(task) - length + 1))
    index = ContaminationIndex([("x", Item(" ".join(test), "1", id="1"))])
    found = index.find("task", " ".join(task))
    assert (found is not None) == (task == test or (length >= 8 and shares))


def test_an_empty_index_matches_nothing() -> None:
    assert ContaminationIndex([]).find("task", LONG) is None


def test_time_is_linear_in_the_tasks_and_they_are_streamed() -> None:
    generator = random.Random(0)
    vocabulary = [f"w{i}" for i in range(5000)]
    tests = [("x", Item(" ".join(generator.choices(vocabulary, k=60)), "1", id=str(i))) for i in range(2000)]
    index = ContaminationIndex(tests)
    tasks = ((str(i), " ".join(generator.choices(vocabulary, k=60))) for i in range(5000))
    started = time.process_time()
    assert [number for number, question in tasks if index.find(number, question)] == []
    assert time.process_time() - started < 5  # 100,000 tasks in less than two minutes on a slow core


def test_every_benchmark_of_a_folder_is_indexed(tmp_path: Path) -> None:
    rows = [{"question": LONG, "answer": "so\n#### 6"}]
    (tmp_path / "gsm8k.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "notes.txt").write_text("no benchmark")
    index = ContaminationIndex(published_items(str(tmp_path)))
    assert index.benchmarks == {"gsm8k": 1}
    match = index.find("task", LONG)
    assert match is not None
    assert match.benchmark == "gsm8k"


def test_a_folder_without_a_benchmark_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "missing"):
        with pytest.raises(BenchmarkError, match=r"put files such as gsm8k\.jsonl there"):
            ContaminationIndex(published_items(str(place)))


def test_real_test_rows_are_found_in_tasks_made_of_them(real_rows: Path, tmp_path: Path) -> None:
    (tmp_path / "gsm8k.jsonl").write_bytes((real_rows / "gsm8k_test_100.jsonl").read_bytes())
    (tmp_path / "super_gpqa.jsonl").write_bytes((real_rows / "super_gpqa_120.jsonl").read_bytes())
    index = ContaminationIndex(published_items(str(tmp_path)))
    questions = [json.loads(line)["question"] for line in (tmp_path / "gsm8k.jsonl").read_text().splitlines()]
    found = [index.find(str(i), question) for i, question in enumerate(questions)]
    assert [match.kind for match in found if match] == ["exact"] * len(questions)
