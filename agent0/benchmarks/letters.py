r"""Reading the letter of a chosen option, by the rules of MMLU-Pro and SuperGPQA and of boxed answers.

The official regular expressions backtrack: MMLU-Pro's second one took 222 of 223 seconds on one model's outputs, and
SuperGPQA runs each under a 5 s alarm. The ones here accept the same texts in linear time: quantifiers are possessive
where the alternatives exclude each other, and the rest is a scan that tests each position once. No letter is ever
drawn at random.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from agent0.answers.extraction import boxes
from agent0.benchmarks.boxed_option import NEGATED, option_in_box
from agent0.benchmarks.latex import plain
from agent0.benchmarks.spec import LETTERS, Item
from agent0.segments import segments

_ANSWER_IS = re.compile(r"answer is \(?([A-J])\)?")
_ANSWER_COLON = re.compile(r"(?=[aA]nswer:\s*+([A-J]))")
_STANDALONE = re.compile(r"\b[A-J]\b")


def mmlu_pro_chain(response: str, item: Item) -> str | None:
    """Return MMLU-Pro's letter (evaluate_from_local.py), without its last step, the random draw.

    In order: the first `answer is (X)`; the last `answer: X` of the first line that has one; the last letter from
    A to J that stands alone.
    """
    match = _ANSWER_IS.search(response)
    if match:
        return match.group(1)
    return _answer_colon(response) or _last_standalone(response)


def mmlu_pro_first_step(response: str, item: Item) -> str | None:
    """Return the letter of the chain's first step alone, as lm-evaluation-harness does."""
    match = _ANSWER_IS.search(response)
    return match.group(1) if match else None


def _answer_colon(text: str) -> str | None:
    letter, line_end = None, len(text)
    for match in _ANSWER_COLON.finditer(text):
        if letter is None:
            newline = text.find("\n", match.start())
            line_end = len(text) if newline < 0 else newline
        elif match.start() > line_end:
            break
        letter = match.group(1)
    return letter


def _last_standalone(text: str) -> str | None:
    last = None
    for match in _STANDALONE.finditer(text):
        last = match
    return last.group() if last else None


# What may enclose a letter or an option in a SuperGPQA response, and what must follow it. A closing bracket is part
# of the enclosure and also ends it, hence the two cases.
_COMMANDS = re.compile(r"\\(?:boxed|mathbf|mathrm|text)\{", re.IGNORECASE)
_OPENERS = "*${([\\"
_OPENING = r"(?:\\(?:boxed|mathbf|mathrm|text)\{|[*${(\[\\])*+"
_CLOSING = r"(?:[\\}$)\]]*+(?:[\s:.*]|$)|[\\}$\]]*+\))"
_LETTER = rf"{_OPENING}\s*+([A-J]){_CLOSING}"
_THE_ANSWER = r"the\s++(?:\w++\s++)?(?:answer|option)(?:\s++|\w++\s{2,}+)is"
_LABELS = (
    re.compile(rf"{_THE_ANSWER[:-1]}s?:?\s*+{_LETTER}", re.IGNORECASE),
    re.compile(rf"answer[*\s]*+:\s*+{_LETTER}", re.IGNORECASE),
    re.compile(
        rf"^[^\w\r\n]*+(?:(?<=\\)(?:boxed|mathbf|mathrm|text)\{{{_OPENING})?\s*+([A-J]){_CLOSING}", re.IGNORECASE
    ),
)
# Here the case counts, and the second one knows no colon.
_CONTENTS = (
    re.compile(r"[Tt]" + _THE_ANSWER[1:] + r":?\s*+"),
    re.compile(r"(?i:answer)\s*+"),
    re.compile(r"^[^\w\r\n]*+"),
)
_ENDS = re.compile(_CLOSING)
_BLANKS = re.compile(r"\s*+")


def super_gpqa_answer(response: str, item: Item) -> str | None:
    """Return SuperGPQA's zero-shot extraction (eval/eval.py): a letter in the case it was written in, or None.

    Three patterns on the last line, then on the whole text: `The [word] answer|option is: X`, `Answer: X`, and an
    enclosed X at the very beginning. If none fits, the same with the literal texts of the options. None is a miss.
    """
    text = response.rstrip()
    last_line = text.rpartition("\n")[2]
    places = (last_line, text) if last_line != text else (text,)
    for place in places:
        for label in _LABELS:
            match = label.search(place)
            if match:
                return match.group(1)
    for place in places:
        for number in range(len(_CONTENTS)):
            index = _option_at(place, number, item.options)
            if index is not None:
                return LETTERS[item.options.index(item.options[index])]
    return None


def super_gpqa_five_shot(response: str, item: Item) -> str | None:
    """Return SuperGPQA's five-shot extraction: from what precedes `Question:`, else from everything."""
    return super_gpqa_answer(response.partition("Question:")[0], item) or super_gpqa_answer(response, item)


def _option_at(text: str, number: int, options: Sequence[str]) -> int | None:
    """Return the first option that stands at an anchor; each position is tested once, so time is linear."""
    tested: set[int] = set()
    for anchor in _CONTENTS[number].finditer(text):
        first = anchor.start() if number == 2 else anchor.end()
        # At the beginning of the text any other character may precede; the longest run is tried first.
        for start in range(anchor.end(), first - 1, -1):
            for position in _starts(text, start, tested):
                index = _option_from(text, position, options)
                if index is not None:
                    return index
        if number < 2:  # what blanks follow the anchor may belong to the option
            index = _within_blanks(text, anchor, options, tested)
            if index is not None:
                return index
    return None


def _starts(text: str, start: int, tested: set[int]) -> Iterator[int]:
    """Positions where an option may begin after enclosures and blanks, in the official order, none twice."""
    commands: list[int] = []
    position = start
    while position not in tested:
        tested.add(position)
        command = _COMMANDS.match(text, position)
        if command:
            commands.append(position)
            position = command.end()
            continue
        yield from _after_blanks(text, position, tested)
        if position >= len(text) or text[position] not in _OPENERS:
            break
        position += 1
    for position in reversed(commands):
        yield position
        yield position + 1


def _after_blanks(text: str, position: int, tested: set[int]) -> Iterator[int]:
    """Yield the ends of the blanks at `position`, longest first; where the next place was tested, all of them were."""
    if position + 1 not in tested and (blanks := _BLANKS.match(text, position)):
        for place in range(blanks.end(), position, -1):
            tested.add(place)
            yield place
    yield position


def _within_blanks(text: str, anchor: re.Match[str], options: Sequence[str], tested: set[int]) -> int | None:
    position = anchor.end() - 1
    while position > anchor.start() and text[position].isspace():
        if position not in tested:
            tested.add(position)
            index = _option_from(text, position, options)
            if index is not None:
                return index
        position -= 1
    return None


def _option_from(text: str, position: int, options: Sequence[str]) -> int | None:
    for index, option in enumerate(options):
        if text.startswith(option, position) and _ENDS.match(text, position + len(option)):
            return index
    return None


# An answer stated behind a box, in brackets or behind its noun, at the end of a clause; `answer` outweighs the others.
_CLAUSE_END = r"[)\]*\"]*+(?=\s*+(?:[.,;!\n]|$))"
_STATED = (
    re.compile(rf"\b(?i:answer)(?:\s++is)?\s*+:?\s*+(?:(?:option|choice)\s++)?[(\[*\"]*+([A-J]){_CLAUSE_END}"),
    re.compile(rf"(?:\b(?i:option|choice|letter)\s*+[(\[*\"]*+|[(\[])([A-J]){_CLAUSE_END}"),
)


_CLAUSE_BREAK = re.compile(r"[.,;!\n]")
_OR_BEFORE = re.compile(r"(?:^|[\s(\[])[A-J][)\]]?\s*+(?:\b(?:and|or)\b|[/&])\s*+$")


def boxed_letter(response: str, item: Item) -> str | None:
    r"""Return the option that the last box chooses (`option_in_box`), else what is stated after it.

    Without a box, MMLU-Pro's chain. The paper asks for a letter in `\boxed{}`; R-Zero then takes the first of A to J
    that occurs anywhere in the box, which reads `A, B, C, D` and `A long chain` as A.
    """
    own = [piece.text for piece in segments(response) if piece.kind == "prose"]
    for number in range(len(own) - 1, -1, -1):
        box = max(boxes(own[number]), key=lambda found: found.start, default=None)
        if box is not None:
            after = "\n".join([own[number][box.end :], *own[number + 1 :]])
            return option_in_box(box.content, item.options) or _stated(after)
    return mmlu_pro_chain(response, item)


def _stated(text: str) -> str | None:
    """Return the one letter that a text states as its answer."""
    read = plain(text)
    for pattern in _STATED:
        stated = [match for match in pattern.finditer(read) if not NEGATED.search(_clause_before(read, match))]
        letters = {match.group(1) for match in stated}
        if letters:
            one = len(letters) == 1 and not any(_OR_BEFORE.search(_clause_before(read, match)) for match in stated)
            return letters.pop() if one else None
    return None


def _clause_before(text: str, match: re.Match[str]) -> str:
    """Return what stands before a match's letter in its clause."""
    before = text[: match.start(1)].rstrip('([*"')
    return _CLAUSE_BREAK.split(before)[-1]
