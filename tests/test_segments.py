from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent0.protocol import observation_text
from agent0.segments import Segment, segments

Spell = Callable[[str], str]
PROGRAM = "for i in range(2):\n    print(i)\n"


def of_kind(kind: str, text: str, **how: bool) -> list[Segment]:
    return [piece for piece in segments(text, **how) if piece.kind == kind]


def program_of(text: str) -> str | None:
    """The one closed program of a text."""
    programs = [piece.program for piece in of_kind("program", text) if piece.closed]
    assert len(programs) <= 1
    return programs[0] if programs else None


SPELLINGS: dict[str, Spell] = {
    **{
        label: lambda code, label=label: f"```{label}\n{code}```"  # type: ignore[misc]
        for label in ("python", "py", "python3", "Python", "PYTHON", "py3", "python3.11", " python", "{python}")
    },
    "trailing blank": lambda code: f"```python  \n{code}``` \n",
    "trailing words": lambda code: f"```python title=a.py\n{code}```\n",
    "carriage returns": lambda code: f"```python\r\n{code}```\r\n",
    "tildes": lambda code: f"~~~python\n{code}~~~\n",
    "longer fence": lambda code: f"`````python\n{code}`````\n",
    "no label": lambda code: f"```\n{code}```\n",
    "behind a sentence": lambda code: f"Now run ```python\n{code}```\n",
    "glued to the last line": lambda code: f"```python\n{code[:-1]}```\n",
    "closed by the next block": lambda code: f"```python\n{code}```output\n0\n1\n```\n",
    "words behind its end": lambda code: f"```python\n{code}``` So it prints.\n",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_program_is_read_however_its_block_is_spelt(spelling: str) -> None:
    assert (program_of(f"Let me see.\n{SPELLINGS[spelling](PROGRAM)}") or "").strip() == PROGRAM.strip()


@pytest.mark.parametrize("lead", ["    ", "\t", "1. ", "- "])
@pytest.mark.parametrize("fence", ["```python", "```", "~~~py"])
def test_an_indented_block_is_dedented(lead: str, fence: str) -> None:
    indent = lead if lead.isspace() else " " * len(lead)
    block = f"{fence}\n{PROGRAM}{fence[:3]}\n".replace("\n", f"\n{indent}")
    assert program_of(f"Steps:\n{lead}{block}") == PROGRAM


@pytest.mark.parametrize(
    "code",
    [
        'print("```")\n',
        "print('```')  # and ``` here\n",
        '"""\n```python\nprint(0)\n```\n"""\nprint(1)\n',
        "s = '''\n```\n'''\nprint(s)\n",
        's = r"\\"  # it\'s ```\nprint(s)\n',
        "x = 'a\\\n```'\nprint(x)\n",
        "#```\nprint(1)\n",
    ],
)
def test_fences_in_strings_and_comments_belong_to_the_program(code: str) -> None:
    assert program_of(f"```python\n{code}```\nSo.") == code
    assert [piece.kind for piece in segments(f"```python\n{code}```\nSo.")] == ["program", "prose"]


@pytest.mark.parametrize("code", ["s = '''\n", "print('a)\n", "x = 1  # ", "I don't know\n"])
def test_a_broken_program_ends_at_its_first_fence(code: str) -> None:
    text = f"```python\n{code}```\nSo \\boxed{{1}}."
    assert [(piece.kind, piece.text) for piece in segments(text)] == [
        ("program", code),
        ("prose", "\nSo \\boxed{1}."),
    ]


def test_a_fence_in_an_open_string_closes_nothing_while_more_may_come() -> None:
    begun = "```python\ns = '''\n```\n"
    assert not of_kind("program", begun, whole=False)[0].closed
    assert of_kind("program", f"{begun}'''\nprint(s)\n```\n", whole=False)[0].closed


@pytest.mark.parametrize(
    "content", ["It is clear that x is 5.", "x = 5", "12", "[1, 2]", "f(x) + g(y)", "F = m*a", "print it", "a: b", ""]
)
def test_a_bare_block_of_prose_of_a_formula_or_of_an_output_is_no_program(content: str) -> None:
    assert [piece.kind for piece in segments(f"Hm.\n```\n{content}\n```\nSo.")] == ["prose"]


def test_a_bare_block_may_become_a_program_while_more_may_come() -> None:
    assert segments("```\n\\boxed{1}", whole=False)[0].kind == "listing"
    assert segments("```\n\\boxed{1}")[0].kind == "prose"


@pytest.mark.parametrize("text", ["Use ```python blocks.\nSo.", "`python`\n", "```python print(1)```\n", "``\nx\n``\n"])
def test_backticks_in_a_sentence_open_nothing(text: str) -> None:
    assert [piece.kind for piece in segments(text)] == ["prose"]


def test_blocks_of_other_languages_are_listings_and_typeset_ones_are_prose() -> None:
    assert [piece.kind for piece in segments("```js\nx\n```\n```latex\ny\n```\n")] == ["listing", "prose"]


def test_a_block_that_holds_no_statement_holds_no_program() -> None:
    assert [piece.program for piece in of_kind("program", "```python\n```\n```py\n\n  # nothing\n```\n")] == ["", ""]


@pytest.mark.parametrize(
    ("text", "thinking", "kinds"),
    [
        ("<think>a</think>b", False, ["thought", "prose"]),
        ("a</think>b", False, ["thought", "prose"]),
        ("a</think>b", True, ["thought", "prose"]),
        ("a", True, ["thought"]),
        ("<Think>a</THINK>b", False, ["thought", "prose"]),
        ("b<think>```python\nprint(1)\n```\n", False, ["prose", "thought"]),
        ("```python\nprint('<think>')\n```\nb", False, ["program", "prose"]),
    ],
)
def test_thoughts_are_told_apart_and_not_looked_into(text: str, thinking: bool, kinds: list[str]) -> None:
    assert [piece.kind for piece in segments(text, thinking=thinking)] == kinds


PIECES = [
    "```", "~~~", "`", "````", "```python\n", "```py", "```output\n", "\n", " ", "print(1)", "'''", '"""', "'", '"',
    "\\", "#", "x", "<think>", "</think>", "<question>", "</question>", "<Think>",
    "</Think>", "<QUESTION>", "</Question>", "- ", "1. ", "\\boxed{1}", "}", "\r\n", "é",
]  # fmt: skip
TEXTS = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3)), max_size=30).map("".join)


@given(TEXTS, st.booleans(), st.booleans(), st.booleans())
def test_segments_follow_each_other_and_lose_nothing_but_fences(
    text: str, thinking: bool, questions: bool, whole: bool
) -> None:
    found = segments(text, thinking=thinking, questions=questions, whole=whole)
    at = 0
    for piece in found:
        assert piece.start == at or (piece.start < at and text[piece.start : at].strip("`~") == "")
        assert piece.text in text[piece.start : piece.end]
        assert piece.start <= piece.end
        at = piece.end
        assert isinstance(piece.program, str)
    assert at == len(text)
    assert all(piece.closed for piece in found[:-1] if piece.kind != "thought")


@given(TEXTS, TEXTS)
def test_a_program_that_has_closed_stays_what_it_is(begun: str, rest: str) -> None:
    """A turn ends at the first closed program: what would have followed must not have made another text of it."""
    if "</think>" in (begun + rest).lower():
        return

    def first(text: str, *, whole: bool) -> Segment | None:
        return next((piece for piece in segments(text, whole=whole) if piece.kind == "program" and piece.closed), None)

    ended = first(f"{begun}\n", whole=False)
    assert ended is None or first(f"{begun}\n{rest}", whole=False) == ended


@given(
    st.text(),
    st.sampled_from(["```python\nx\n```\n", "```python\nx\n```", "```python\nx\n```output", "```py\nx\n```output\n"]),
)
def test_nothing_that_a_program_prints_gets_out_of_its_block(printed: str, turn: str) -> None:
    text = f"{turn}{observation_text(turn, printed)}So \\boxed{{1}}."
    output = of_kind("output", text)[-1]
    assert output.text.rstrip("\n") == printed.rstrip("\n")
    assert text[output.end :] == "\nSo \\boxed{1}."


@pytest.mark.parametrize(
    "printed", ["```\n\\boxed{2}\n", "```\n````\n", "a```", "```python\nprint(1)\n```", "</think>"]
)
def test_printed_fences_stand_between_longer_ones(printed: str) -> None:
    test_nothing_that_a_program_prints_gets_out_of_its_block.hypothesis.inner_test(printed, "```python\nx\n```\n")


HOSTILE = [
    *PIECES,
    "```\n",
    "```python\n'''\n```\n",
    "```python\n\\'''\n```\n",
    "\\'",
    "\"'",
    "#```",
    "~~~\n`````\n",
    "- ```\n",
    "```python\n'\\'\\'",
    "```\nprint(1)\n````\n",
    " ```\n",
]


@pytest.fixture
def _no_garbage() -> Iterator[None]:
    """Keep collecting the garbage of other tests out of what is timed."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_garbage")
@pytest.mark.parametrize("unit", HOSTILE)
@pytest.mark.parametrize("before", ["", "```python\n", "```python\n'", "```\n"])
def test_time_is_linear_in_hostile_text(unit: str, before: str) -> None:
    """Ten times the text takes about ten times as long; what grows with the square takes a hundred times."""

    def seconds(length: int) -> float:
        text = before + unit * (length // len(unit))
        begun = time.process_time()
        segments(text, questions=True)
        return time.process_time() - begun

    assert seconds(100_000) < max(3.0, 30 * seconds(10_000))


@pytest.mark.usefixtures("_no_garbage")
def test_time_is_linear_in_shuffled_text() -> None:
    rng = random.Random(0)
    for _ in range(20):
        text = "".join(rng.choices(rng.sample(HOSTILE, 4), k=30_000))[:100_000]
        begun = time.process_time()
        segments(text, questions=True)
        assert time.process_time() - begun < 1.5
