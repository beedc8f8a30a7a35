r"""Which option the content of a box chooses: its letter, or the option itself, as text or as mathematics.

One letter counts, and only where it is the only one: `A, B, C, D` chooses nothing. The first letter of a word or of a
formula is no letter: `B-cells` and `C\cdot V` may repeat an option, or choose none.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence

from agent0.answers import equivalent_many, normalise
from agent0.answers.exact_rules import decide
from agent0.answers.quantities import split_unit
from agent0.benchmarks.latex import plain
from agent0.benchmarks.spec import LETTERS

_MAX_NAMED = 2_000  # characters that are looked at for a letter
_MAX_FORMULA = 300
_BRACKETS = str.maketrans("【】〔〕「」『』“”‘’„«»。、", '()()()()""\'\'""".,')
_ENCLOSURES = ("()", "[]", "{}", "<>", '""', "''", "``", "**", "__")
_LEAD = (
    r"(?:(?:(?:the|my|correct|right|best|final|single|answer|option|choice|letter|is|so|thus|hence|therefore)\b"
    r"[\s:=,]*+)+)?"
)
_CHOSEN = re.compile(
    rf"(?i:{_LEAD})(?P<open>[(\[{{\"'`*_]*+)(?P<letter>[A-Ja-j])(?P<close>[)\]}}\"'`*_]*+)"
    r"(?P<then>\s*[.:,;](?=\s|$)|\s*[.:](?=[^\W\d])|\s+[-\u2013\u2014]+\s+|\s*=|\s+|(?<=[)\]])(?=[\w(])|$)(?P<rest>.*)",
    re.DOTALL,
)
_WORD = re.compile(r"[^\W\d_]{2,}")
_ONLY_LETTERS = re.compile(r"(?i:[\s,;:./&()\[\]{}+|-]|\band\b|\bor\b|\boption\b|\bchoice\b|\b[a-j]\b)*+")
_ANOTHER_FIRST = re.compile(rf"(?i:(?:and|or)\b|[\s,;/&])*+(?i:{_LEAD})[(\[]?[A-J]\b(?!['’])")
_ANOTHER_LABEL = re.compile(r"(?:^|[\s,;])[(\[]?([A-J])(?:[)\]]|:\s)")
_LABELLED = re.compile(r"[(\[]?[A-J][)\].:]+\s+\S")
_LAST = re.compile(r"(?P<before>.*\S)\s+[(\[](?P<letter>[A-J])[)\]]\.?", re.DOTALL)
NEGATED = re.compile(
    r"(?i:\b(?:not|cannot|never|except|neither|nor|wrong|incorrect|false|reject\w*|eliminat\w*|rul\w+ out)\b|n't\b"
    r"|\b(?:everything|anything|all) but\b)"
)
"""Words by which a letter is one that is not chosen."""
_REFUSED = re.compile(rf"(?i:(?:is|was|seems|looks)\s+)*{NEGATED.pattern}")
_ALSO = re.compile(r"(?i:\balso\s+(?:option\s+)?)[(\[]?([A-J])\b(?!['’-])")
_SHORT_UNIT = 3
_WORDY = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}")


def option_in_box(content: str, options: Sequence[str]) -> str | None:
    """Return the letter that the content of a box chooses among options, or None.

    In order: a letter that is all there is; the option that the content repeats; a letter with the option or a remark
    behind it (`C. copper`, `Option C`, `The answer is (C)`); an option that is the same mathematically. A letter that
    no option has is returned where nothing else is meant.
    """
    text = plain(unicodedata.normalize("NFKC", content)).translate(_BRACKETS)[:_MAX_NAMED]
    text = _unwrapped(" ".join(text.replace("**", "").split()))
    alone = text.upper() if len(text) == 1 and text.upper() in LETTERS else None
    if alone and text.isupper() and _offered(alone, options):
        return alone
    repeated = _repeated(content, options)
    if repeated is not None or alone:
        return repeated or alone
    return _named(text, options) or (None if _LABELLED.match(text) else _equal(content, options))


def _offered(letter: str, options: Sequence[str]) -> bool:
    return not options or letter in LETTERS[: len(options)]


def _unwrapped(text: str) -> str:
    """Take off brackets, quotes and marks that enclose the whole text, and a final full stop."""
    while True:
        text = text.strip()
        inner = text[1:-1].strip()
        if text[:1] + text[-1:] in _ENCLOSURES and inner and not {text[0], text[-1]} & set(inner):
            text = inner
        elif len(text) > 1 and text[-1] in ".,;:" and text[-2] not in ".,;:":
            text = text[:-1]
        else:
            return text


def _repeated(content: str, options: Sequence[str]) -> str | None:
    """Return the option that has the same text: to the sign, in normal form, or by the exact rules of the grader."""
    form = normalise(content)
    forms = [normalise(option) for option in options]
    tests: tuple[Callable[[int], bool], ...] = (
        lambda index: forms[index] == form,
        lambda index: bool(forms[index]) and _same_unit(forms[index], form) and decide(forms[index], form) is True,
    )
    for index, option in enumerate(options):
        if option.strip() == content.strip():
            return LETTERS[index]
    for same in tests if form else ():
        found = [index for index in range(len(options)) if same(index)]
        if found:
            return LETTERS[found[0]] if len(found) == 1 else None
    return None


def _same_unit(one: str, other: str) -> bool:
    """Whether two normal forms may have the same unit: options differ in it, while the grader ignores it.

    `m` and `meters` may be the same, since one is short and the other is not.
    """
    units = [split_unit(form)[1].replace(" ", "").lower().rstrip("s.") for form in (one, other)]
    lengths = {len(unit) > _SHORT_UNIT for unit in units}
    return not all(units) or len(lengths) > 1 or units[0] == units[1]


def _named(text: str, options: Sequence[str]) -> str | None:
    """Return the letter that a text names, at its beginning or, in brackets, at its end."""
    match = _CHOSEN.fullmatch(text)
    if match:
        letter, rest = match["letter"].upper(), match["rest"].strip()
        quotes = [{mark for mark in match[side] if mark in "\"'`*_"} for side in ("open", "close")]
        if quotes[1] - quotes[0]:  # C' and C* are other things than C
            return None
        if not rest or _is_option(rest, letter, options):
            return letter
        if _REFUSED.match(rest) or _repeated(_unwrapped(rest), options) not in (None, letter):
            return None
        label = match["then"].strip() or ("(" if set(match["close"]) & set(")]") else "")
        return letter if label and _remarks(rest, label, letter, options) else None
    match = _LAST.fullmatch(text)
    if match and NEGATED.search(match["before"]):
        return None
    if match and not _ANOTHER_LABEL.search(match["before"]) and not _ONLY_LETTERS.fullmatch(match["before"]):
        repeated = _repeated(match["before"], options)
        return match["letter"] if repeated in (None, match["letter"]) else None
    return None


def _is_option(text: str, letter: str, options: Sequence[str]) -> bool:
    return letter in LETTERS[: len(options)] and _repeated(_unwrapped(text), options) == letter


def _remarks(rest: str, label: str, letter: str, options: Sequence[str]) -> bool:
    """Say whether what follows a letter and a label is about it: words, and no other letter that is chosen too."""
    if label == "=" or not (_WORD.search(rest) or label in ".:("):
        return False
    if label == "(" and not (rest[0].isalnum() or rest[0] in "\"'\\$({[.:,;-"):
        return False
    if label in ",;" and _ANOTHER_FIRST.match(rest):
        return False
    if label in ",;-\u2013\u2014" and not _WORD.match(rest.lstrip("\"'(")):
        return False
    others = {match.group(1) for label in (_ANOTHER_LABEL, _ALSO) for match in label.finditer(rest)}
    others |= _labelled(rest, options)
    return not _ONLY_LETTERS.fullmatch(rest) and not others - {letter}


def _labelled(rest: str, options: Sequence[str]) -> set[str]:
    """Return the letters that stand before their own option's text."""
    pairs = zip(LETTERS, options, strict=False)
    return {x for x, option in pairs if re.search(rf"\b{x}[.):]*\s*{re.escape(option.strip())}", rest)}


def _equal(content: str, options: Sequence[str]) -> str | None:
    """Return the one option that the shared grader calls equal to the content, where both are formulas."""
    if not _is_formula(content):
        return None
    form = normalise(content)
    formulas = [
        index for index, option in enumerate(options) if _is_formula(option) and _same_unit(normalise(option), form)
    ]
    verdicts = equivalent_many((options[index], content) for index in formulas)
    found = [index for index, verdict in zip(formulas, verdicts, strict=True) if verdict.correct]
    return LETTERS[found[0]] if len(found) == 1 else None


def _is_formula(text: str) -> bool:
    return len(text) <= _MAX_FORMULA and not _WORDY.search(plain(text))
