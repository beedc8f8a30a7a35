"""Trajectories made fit to read."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent0.report.history import Example, History
from agent0.report.trajectories import Segment, choose, mark, readable, segments

BODIES = st.text(st.characters(exclude_characters="`\n", exclude_categories=("Cs",)), min_size=1, max_size=40).filter(
    lambda text: bool(text.strip())
)


def test_prose_code_and_output_are_told_apart() -> None:
    text = "Let me see.\n```python\nprint(1)\nprint(2)\n```\n```output\n1\n2\n```\nSo \\boxed{2}."
    assert segments(text) == [
        Segment("prose", "Let me see."),
        Segment("code", "print(1)\nprint(2)"),
        Segment("output", "1\n2"),
        Segment("prose", "So \\boxed{2}."),
    ]


def test_an_unclosed_block_runs_to_the_end() -> None:
    assert segments("```python\nwhile True:\n    pass") == [Segment("code", "while True:\n    pass")]


def test_indentation_of_code_is_kept() -> None:
    assert segments("```python\n    x = 1\n```") == [Segment("code", "    x = 1")]


@given(st.lists(st.tuples(BODIES, BODIES, BODIES), max_size=4))
def test_segments_give_back_what_was_put_together(turns: list[tuple[str, str, str]]) -> None:
    text = "".join(f"{prose}\n```python\n{code}\n```\n```output\n{output}\n```\n" for prose, code, output in turns)
    kinds = ("prose", "code", "output")
    assert [(s.kind, s.text) for s in segments(text)] == [
        pair for turn in turns for pair in zip(kinds, turn, strict=True)
    ]


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    assert all(segment.text.strip() for segment in segments(readable(text)))


@pytest.mark.parametrize(("correct", "expected"), [(True, "right"), (False, "wrong"), (None, "unknown")])
def test_answers_are_marked_as_the_grader_judged_them(
    make_history: Callable[[int], History], correct: bool | None, expected: str
) -> None:
    example = make_history(1).iterations[1].examples[0]
    assert mark(example.model_copy(update={"correct": correct})) == expected


def test_examples_are_taken_in_turn_from_each_iteration(make_history: Callable[[int], History]) -> None:
    examples: list[Example] = [e for r in make_history(10).iterations for e in r.examples]
    chosen = choose(examples, 12)
    assert len(chosen) == 12
    assert {e.iteration for e in chosen} == set(range(1, 11))
    assert [e.iteration for e in chosen] == sorted(e.iteration for e in chosen)
    assert choose([], 12) == []


def test_invisible_characters_are_written_out_and_long_texts_cut() -> None:
    assert readable("a\u202eb\x00c\td\n") == "a\\u202eb\\u0000c\td\n"
    cut = readable("x" * 50, limit=20)
    assert cut.startswith("x" * 20 + "\n")
    assert "30 more characters" in cut
