r"""What a model's text is made of: prose, thoughts, programs, outputs, listings and questions, found in one walk.

Programs stand in fenced blocks as models write them: ```` ```python ````, `py`, `python3` or `Python`, with words
behind, behind a sentence or a list marker, indented, of tildes, closed on the last line of code or by the next block.
A bare block is a program where it parses and does something. Fences inside a program's strings and comments are text.
As in CommonMark, a fence closes a block that opened with no more characters of the same kind, so an output that holds
fences stands between longer ones. Time is linear in the text. Leaves out what any of it means (`protocol`, `answers`).
"""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal["prose", "thought", "program", "output", "listing", "question"]
"""`listing` is a block in another language, or an open bare one that may yet become a program."""

OUTPUT = "output"
"""Label of the block that holds what a program printed."""
PYTHON_LABEL = "python"
"""`Segment.label` of a program, whatever its block calls it."""
MAX_BARE_PROGRAM = 20_000
"""Characters of the longest bare block that is looked at as a program: parsing one takes 40 ms."""

_PYTHON = re.compile(r"i?py(?:thon)?[23]?(?:\.\d+)?", re.IGNORECASE)
_TEXTS = frozenset({"text", "txt", "plaintext", "latex", "tex", "math", "markdown", "md"})
_MARK = re.compile(
    r"(?P<tag></?think>|<question>)"
    r"|(?:^[ \t]*+(?:(?:[-*+]|\d{1,3}[.)])[ \t]++)?(?P<fence>`{3,}+|~{3,}+)"
    rf"|(?<!`)(?P<inline>`{{3,}}+)(?=[ \t]*+(?:{_PYTHON.pattern}|{OUTPUT})[ \t\r]*+$))"
    r"(?P<info>[^\n`]*+)(?:\n|\Z)",
    re.MULTILINE | re.IGNORECASE,
)
_THOUGHT_ENDS = re.compile("</think>", re.IGNORECASE)
_QUESTION_ENDS = re.compile("</question>", re.IGNORECASE)
_QUESTION_BEGINS = re.compile("<question>", re.IGNORECASE)
_LABEL = re.compile(r"\s*+[{.]{0,2}([\w+#.-]+)")
_FENCE = r"^[ \t]*+(?P<line>`{3,}+|~{3,}+)(?P<word>\w?)|(?<!`)(?P<glued>`{3,}+)[ \t\r]*+$"
_CLOSE = re.compile(_FENCE, re.MULTILINE)
_PROGRAM_PART = re.compile(
    r"(?P<comment>#[^\n]*+)|(?P<triple>'''|\"\"\")"
    r"|(?P<string>'(?:[^'\\\n]|\\[\s\S])*+(?P<single>')?|\"(?:[^\"\\\n]|\\[\s\S])*+(?P<double>\")?)"
    rf"|{_FENCE}",
    re.MULTILINE,
)
_REST_OF_TRIPLE = {
    quote * 3: re.compile(rf"(?:[^{quote}\\]|\\.|{quote}(?!{quote}{quote}))*+{quote * 3}", re.DOTALL) for quote in "'\""
}
_MAY_DO_SOMETHING = re.compile(
    r"print[ \t]*+\(|^[ \t]*+(?:import|from|def|class|for|while|if|with|try)\b", re.MULTILINE
)
_STATEMENTS = (
    ast.Import,
    ast.ImportFrom,
    ast.FunctionDef,
    ast.ClassDef,
    ast.For,
    ast.While,
    ast.If,
    ast.With,
    ast.Try,
)


@dataclass(frozen=True)
class Segment:
    """A piece of a text.

    `text` is what stands between its fences or tags; for prose and thoughts, the piece as it is. `start` and `end` are
    its place with fences and tags; `closed` says whether its closing fence or tag is there. `label` is the language of
    a program or a listing in small letters; empty where none is named.
    """

    kind: Kind
    text: str
    start: int
    end: int
    closed: bool = True
    label: str = ""

    @property
    def program(self) -> str:
        """The content without a common indentation; empty where it holds no statement of Python, or nothing at all."""
        if self.kind != "program":
            return self.text.strip()
        lines = [line for line in self.text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
        return _dedented(self.text) if lines else ""


class _Close(NamedTuple):
    """Where a block's content ends, where its closing fence begins and ends, and whether that opens another block."""

    content: int
    start: int
    end: int
    opens: bool


def segments(text: str, *, thinking: bool = False, questions: bool = False, whole: bool = True) -> list[Segment]:
    """Split a text, in order.

    A thought runs from `<think>` to `</think>`, or from the beginning where only its end is there (a chat template may
    write the beginning into the prompt). Nothing is looked for inside a thought or a question.

    Args:
        text: what a model wrote, with or without outputs in between.
        thinking: it begins inside a thought.
        questions: `<question>` opens a question, and blocks up to `</question>` belong to it.
        whole: nothing follows. Else what follows may change what a block is, and such a block is not closed: a fence
            in a string that is still open may belong to it, and a bare block may become a program.
    """
    walk = _Walk(text, questions, whole)
    at = walk.thought(0, 0) if thinking else 0
    while mark := _MARK.search(text, at):
        at = walk.tag(mark) if mark["tag"] else walk.fence(mark)
    walk.flush(len(text))
    return walk.found


class _Walk:
    """One pass over a text; each step takes a mark and returns where to look for the next."""

    def __init__(self, text: str, questions: bool, whole: bool) -> None:
        self.found: list[Segment] = []
        self._text = text
        self._questions = questions
        self._whole = whole
        self._prose = 0  # where the prose that is not yet noted begins
        self._passed = -1  # the closing fence of a block that is read as prose
        self._plainly = False  # every fence closes: a program was read to the text's end in vain, which is not repeated

    def flush(self, end: int) -> None:
        if end > self._prose:
            self.found.append(Segment("prose", self._text[self._prose : end], self._prose, end))
            self._prose = end

    def tag(self, mark: re.Match[str]) -> int:
        tag = mark["tag"].lower()
        if tag == "<question>":
            return self._question(*mark.span()) if self._questions else mark.end()
        if tag == "<think>":
            return self.thought(*mark.span())
        self.found, self._prose = [], 0
        return self._add("thought", (0, mark.end()), (0, mark.end()), closed=True)

    def thought(self, start: int, begins: int) -> int:
        end = _THOUGHT_ENDS.search(self._text, begins)
        span = (start, end.end() if end else len(self._text))
        return self._add("thought", span, span, closed=end is not None)

    def _question(self, start: int, begins: int) -> int:
        """Note a question; of several openings before the end the last counts, since the others speak of the tag."""
        end = _QUESTION_ENDS.search(self._text, begins)
        if end is None:
            return self._add("question", (begins, len(self._text)), (start, len(self._text)), closed=False)
        *_, last = _QUESTION_BEGINS.finditer(self._text, start, end.start())
        return self._add("question", (last.end(), end.start()), (start, end.end()), closed=True)

    def fence(self, mark: re.Match[str]) -> int:
        start, begins = mark.start("fence" if mark["fence"] else "inline"), mark.end()
        if start == self._passed:
            return begins
        named = _named(mark["info"])
        close = self._close(named, mark["fence"] or mark["inline"], begins)
        ends = close.content if close else len(self._text)
        kind = named or self._bare(self._text[begins:ends], closed=close is not None)
        if kind == "prose":  # what it holds is looked at like any other prose
            self._passed = -1 if close is None or close.opens else close.start
            return begins
        span = (start, close.end if close else ends)
        self._add(kind, (begins, ends), span, closed=close is not None, label=_language(kind, mark["info"]))
        return close.content if close and close.opens else self._prose

    def _bare(self, content: str, *, closed: bool) -> Kind:
        if closed:
            return "program" if _does_something(content) else "prose"
        return "prose" if self._whole else "listing"

    def _close(self, kind: Kind | None, fence: str, begins: int) -> _Close | None:
        if kind != "program" or self._plainly:
            return _first_close(self._text, fence, begins, len(self._text))
        close, doubtful = self._close_of_program(fence, begins)
        if close is None and doubtful and self._whole:
            self._plainly = True
            return doubtful
        return close

    def _close_of_program(self, fence: str, begins: int) -> tuple[_Close | None, _Close | None]:
        """Return the first fence outside strings and comments, and the first inside, for programs that are broken."""
        doubtful: _Close | None = None
        at = begins
        while match := _PROGRAM_PART.search(self._text, at):
            at = match.end()
            if match["triple"]:
                rest = _REST_OF_TRIPLE[match["triple"]].match(self._text, at)
                at = rest.end() if rest else len(self._text)
            elif match["line"] or match["glued"]:
                if close := _closed_by(match, fence):
                    return close, doubtful
                continue
            elif match["single"] or match["double"]:
                continue
            doubtful = doubtful or _first_close(self._text, fence, match.start(), at)
        return None, doubtful

    def _add(
        self, kind: Kind, content: tuple[int, int], span: tuple[int, int], *, closed: bool, label: str = ""
    ) -> int:
        self.flush(span[0])
        self.found.append(Segment(kind, self._text[slice(*content)], *span, closed, label))
        self._prose = span[1]
        return self._prose


def _named(info: str) -> Kind | None:
    """Return what the words behind an opening fence make of its block; None where there are none."""
    label = _LABEL.match(info)
    if label is None:
        return "prose" if info.strip() else None
    if _PYTHON.fullmatch(label[1]):
        return "program"
    if label[1].lower() == OUTPUT:
        return "output"
    is_sentence = len(info.split()) > 1
    return "prose" if is_sentence or label[1].lower() in _TEXTS else "listing"


def _language(kind: Kind, info: str) -> str:
    """Return the label of a block: of a listing the first word behind its fence."""
    label = _LABEL.match(info) if kind == "listing" else None
    return label[1].lower() if label else PYTHON_LABEL if kind == "program" else ""


def calls_nothing(label: str) -> bool:
    """Whether a block labelled so is never a listing by itself, of which a tool could be told."""
    word = _LABEL.fullmatch(label)
    return word is None or word[1] != label or label != label.lower() or _named(label) != "listing"


def _first_close(text: str, fence: str, begins: int, ends: int) -> _Close | None:
    places = (_closed_by(match, fence) for match in _CLOSE.finditer(text, begins, ends))
    return next((place for place in places if place), None)


def _closed_by(match: re.Match[str], fence: str) -> _Close | None:
    name = "line" if match["line"] else "glued"
    if match[name][0] != fence[0] or len(match[name]) < len(fence):
        return None
    content = match.start() if name == "line" else match.start(name)
    return _Close(content, match.start(name), match.end(name), opens=bool(match["word"]))


def _does_something(content: str) -> bool:
    """Return whether a bare block is a program: only printed text comes back, so a formula or an output is none."""
    if len(content) > MAX_BARE_PROGRAM or not _MAY_DO_SOMETHING.search(content):
        return False
    try:
        with warnings.catch_warnings(action="ignore"):  # of odd escapes in strings
            tree = ast.parse(_dedented(content))
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return any(isinstance(statement, _STATEMENTS) for statement in tree.body) or any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
        for node in ast.walk(tree)
    )


def _dedented(content: str) -> str:
    first = next((line for line in content.splitlines() if line.strip()), "")
    return textwrap.dedent(content) if first[:1].isspace() else content
