r"""One LaTeX spelling for what people and programs write: unicode signs, fonts and layout, program notation.

`spell` changes how a formula is written and never what it says; `agent0.answers.normalisation` and Math-Verify both
read its result, so each of these spellings is known in one place. Nothing here evaluates an expression.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

from agent0.answers.brackets import balanced_end, replace_calls, split_items
from agent0.answers.characters import from_unicode

MAX_CHARACTERS = 1_000  # a longer text stays as it is: nothing will evaluate it
_SIMPLE = re.compile(r"(?!.*(?:\.\.|[0-9] [0-9]))[0-9.,/+\- ]*|[A-Za-z]?")  # nothing here is spelled in two ways
_SHORT_GAP = re.compile(r"(?<!\\)\\!")
_LENGTH = r"-?[0-9.]+\s*(?:pt|em|ex|mu|cm|mm|in|sp|bp|pc)"
_LAYOUT = re.compile(
    rf"(?<!\\)\\(?:[,;:> ]|(?:hspace|vspace|phantom|hphantom|vphantom|label|tag)\*?\s*\{{[^{{}}]*\}}"
    rf"|(?:hskip|kern|mkern|mskip)\s*{_LENGTH}"
    r"|(?:q?quad|enspace|thinspace|medspace|thickspace|negthinspace|(?:display|text|script|scriptscript)style|limits"
    r"|rm|bf|it|sf|tt|tiny|small|large|Large|LARGE|huge|Huge|nolimits|nonumber|notag|hfill|mathstrut|strut|allowbreak|nobreak|relax|left|right|middle|[bB]igg?[lrm]?)"
    r"(?![a-zA-Z])\.?)|~"
)
_ROW_GAP = re.compile(rf"\\\\\s*\[\s*{_LENGTH}\s*\]")
_DOUBLED = re.compile(r"\\\\(?=[a-zA-Z])")
_OLD_FONT = re.compile(r"\{\\(?:rm|bf|it|sf|tt|cal|em)(?![a-zA-Z])\s*([^{}]*)\}")
_COLOUR = re.compile(r"\\(?:text)?color\s*\{[^{}]*\}\s*")
_FONT = re.compile(
    r"\\(?:bm|boldsymbol|pmb|mathbf|mathit|mathsf|mathtt|mathnormal|ensuremath|underline|textbf|textit|textsf|texttt"
    r"|emph)\s*\{(?!\s*[ijk]\s*\})([^{}\\]*|\\[A-Za-z]+)\}"  # bold i, j, k are vectors
)
_UPRIGHT = re.compile(
    r"\\(?:mathrm|text|textrm|textup|textnormal|mbox|operatorname\*?)(?:\s*\{\s*([eixyz]|\\[A-Za-z]+)\s*\}|\s+([ei])(?![A-Za-z]))"
)
_FUNCTIONS = "arc(?:sin|cos|tan|cot|sec|csc)|(?:sin|cos|tan|cot)h?|sec|csc|log|ln|exp|det|gcd|lcm|max|min"
_UPRIGHT_FUNCTION = re.compile(rf"\\(?:mathrm|text|textrm|operatorname)\s*\{{\s*({_FUNCTIONS})\s*\}}\s*")
_SYNONYMS = {
    **dict.fromkeys(["dfrac", "tfrac", "cfrac", "sfrac", "nicefrac"], r"\frac"),
    **dict.fromkeys(["dbinom", "tbinom"], r"\binom"),
    **dict.fromkeys(["le", "leqslant", "leqq"], r"\leq"),
    **dict.fromkeys(["ge", "geqslant", "geqq"], r"\geq"),
    **dict.fromkeys(["varnothing", "empty"], r"\emptyset"),
    **dict.fromkeys(["dots", "dotsc", "dotsb", "dotsm", "dotso", "cdots"], r"\ldots"),
    **dict.fromkeys(["bullet", "cdotp", "centerdot"], r"\cdot"),
    **dict.fromkeys(["lvert", "rvert", "vert"], "|"),
    **{"lbrace": r"\{", "rbrace": r"\}", "lbrack": "[", "rbrack": "]"},
    **{"ne": r"\neq", "lt": "<", "gt": ">", "approx": "="},  # what is given as about a number is given as the number
    **{"lor": " or ", "vee": " or ", "land": " and ", "wedge": " and "},
    **{"infin": r"\infty", "degree": r"^\circ", "ast": "*", "imath": "i", "tg": r"\tan", "ctg": r"\cot"},
    **{"smallsetminus": r"\setminus", "backslash": r"\setminus", "R": r"\mathbb{R}", "Z": r"\mathbb{Z}"},
}
_SYNONYM = re.compile(rf"(?<!\\)\\({'|'.join(_SYNONYMS)})(?![a-zA-Z])")
_NEGATED = re.compile(r"\\not\s*(=|\\in(?![a-zA-Z]))")
_OVER = re.compile(r"\{([^{}]*)\\over(?![a-zA-Z])([^{}]*)\}")
_BLACKBOARD = re.compile(r"\\mathbb\s*([A-Z])(?![A-Za-z])")
_ANGLED = re.compile(r"\\langle(?![a-zA-Z])\s*([^<>]*,[^<>]*?)\s*\\rangle(?![a-zA-Z])")
_TOKEN = r"([0-9A-Za-z]|\\(?!frac|sqrt|text|math|left|right|cdot|times)[A-Za-z]+)"
_FRAC_TOP = re.compile(rf"\\(frac|binom)\s*{_TOKEN}\s*(?=[0-9A-Za-z\\{{])(?![0-9][0-9])")
_FRAC_BOTTOM = re.compile(rf"(\\(?:frac|binom)\{{[^{{}}]*\}})\s*{_TOKEN}(?![0-9])")
_ROOT = re.compile(rf"(\\sqrt\s*(?:\[[^\[\]]*\])?)\s*{_TOKEN}")

_REPEATING = re.compile(
    r"(?<![0-9.])([0-9]*)\.([0-9]*)(?:\\(?:overline|bar|dot)\s*(?:\{([0-9]+)\}|([0-9]))(?:([0-9]*)\\dot\s*\{?([0-9])\}?)?"
    r"|\(([0-9]+)\)(?!\^))(?![0-9])"
)
_RECURRING = re.compile(
    r"(?<![0-9.])(?!2\.71828)([0-9]*)\.([0-9]{0,40}?)(?:([0-9])\3{2,}|([0-9]{2,20})\4+)(?:\.{3}|\\ldots)"
)
_EXPONENT = r"(?:\{\s*([-+]?[0-9]+)\s*\}|\(\s*([-+]?[0-9]+)\s*\)|([-+]?[0-9]+))"
_TEN_TO_THE = re.compile(rf"(?<=[0-9.])\s*(?:\\times|\\cdot|\*|[xX])\s*10\s*(?:\^|\*\*)\s*{_EXPONENT}")
# 2e-1 is 2e - 1: no program writes so small an exponent, and people write that difference.
_E_NOTATION = re.compile(
    r"(?<![A-Za-z0-9.\\_])(?![0-9]+[eE][-+][12](?![0-9]))([0-9]+\.?[0-9]*|\.[0-9]+)[eE]([-+]?[0-9]{1,9})(?![0-9.])"
)
_SIGN_IN_WORDS = re.compile(r"(?:minus|negative) (?=[0-9.\\(])", re.IGNORECASE)
_UNDERSCORES = re.compile(r"(?<![0-9A-Za-z_}])[0-9]{1,3}(?:_[0-9]{3})+(?![0-9_])")
_GAPS = re.compile(r"(?<![0-9.,])[1-9][0-9]{0,2}(?: [0-9]{3})+(?![0-9])")
_BRACED_COMMAS = re.compile(r"(?<=[0-9])\{,\}(?=[0-9]{3}(?![0-9]))")
_COMMAS = re.compile(r"(?<![0-9.,(\[{])[1-9][0-9]{0,2}(?:,[0-9]{3})+(?=[A-Za-z\\])")
_MIXED = re.compile(
    r"(?<![0-9A-Za-z.)}\]^_/])(?<![0-9],)([1-9][0-9]{0,8}) ([1-9][0-9]{0,8})/([1-9][0-9]{0,8})(?![0-9.])"
)

_COMPARISONS = {"<=": r"\leq ", ">=": r"\geq ", "!=": r"\neq ", "<>": r"\neq ", "==": "=", "**": "^"}
_COMPARISON = re.compile("<=(?!>)|>=|!=|<>|==|" + re.escape("**"))
_ROOT_OF_BRACKET = re.compile(r"\\sqrt\s*(\[3\])?\s*\(")
_THOUSANDS = re.compile(r"[0-9]{1,3},[0-9]{3}")
_MODULES = re.compile(r"(?<![A-Za-z0-9_\\])(?:np|numpy|math|cmath|sp|sympy|S)\.(?=[A-Za-z])")
_TYPES = re.compile(r"(?<![A-Za-z0-9_\\])(?:float|int)(?:16|32|64)?\((-?[0-9.e+-]+)\)")
_FACTORIAL = re.compile(r"(?<![A-Za-z\\])factorial\(\s*([0-9]+)\s*\)")
_BASE_IN_NAME = re.compile(r"(?<![A-Za-z\\])log(2|10)(?=\()")
_INVERSES = re.compile(r"(?<![A-Za-z\\])a(sin|cos|tan)(h?)(?=\()")
_CALLED = re.compile(rf"(?<![A-Za-z\\])({_FUNCTIONS})(?=[ (^_0-9])")
_GREEK = "alpha|beta|gamma|delta|epsilon|zeta|theta|lambda|mu|nu|rho|sigma|tau|phi|psi|omega"
_WORD_SIGN = re.compile(rf"(?<![A-Za-z\\])(pi|oo|inf|infinity|{_GREEK})(?![A-Za-z(])")
_PROSE = re.compile(r"(?!(?:-?oo|-?inf|-?infinity|pi|phi|psi)$)[A-Za-z' -]*")
_COMPLEX = re.compile(r"\(?(?:-?[0-9.]+(?:e[-+]?[0-9]+)?[-+])?(?:-?[0-9.]+(?:e[-+]?[0-9]+)?)j\)?")
_IMAGINARY = re.compile(r"(?<=[0-9)]\*)I(?![A-Za-z])|(?<![A-Za-z\\])I(?=\*)")
_EULER = re.compile(r"(?<![A-Za-z\\])E(?=\^)")
_SIGNED_POWER = re.compile(r"\^\s*(-[0-9]+|-[A-Za-z])")
_INNER_GAP = re.compile(r"(?<=\{)\s+|(?<!\\)\s+(?=\})")
_COMMAND_GAP = re.compile(r"(\\[A-Za-z]+)\s+(?![A-Za-z\s])")


def spell(text: str) -> str:
    r"""Return `text` in the one spelling that this package reads: `2*pi*r` is `2*\pi*r`, `2√3` is `2\sqrt{3}`.

    Args:
        text: an answer without its outer delimiters (`agent0.answers.normalisation.clean`).
    """
    if len(text) > MAX_CHARACTERS or _SIMPLE.fullmatch(text):
        return text
    text = from_unicode(text)
    if _COMPLEX.fullmatch(text):  # as Python prints it; beside an i or under a font j is a vector or an index
        text = text.replace("j", "i")
    if "\\" in text or "~" in text:
        text = _latex(text)
    text = _programs(text)
    text = _numbers(text)
    if "\\" in text:
        text = _COMMAND_GAP.sub(r"\1", _INNER_GAP.sub("", text))
    return text.strip()


def _latex(text: str) -> str:
    if r"\begin" not in text:
        text = _DOUBLED.sub(r"\\", text)
    text = _ROW_GAP.sub(r"\\\\", text)
    text = _LAYOUT.sub(" ", _SHORT_GAP.sub("", text))
    text = _COLOUR.sub("", _OLD_FONT.sub(r"\\text{\1}", text))
    text = _UPRIGHT_FUNCTION.sub(r"\\\1 ", text)
    text = _UPRIGHT.sub(_in_place, text)
    text = _FONT.sub(_in_place, text)
    text = _NEGATED.sub(lambda match: r"\neq " if match.group(1) == "=" else r"\notin ", text)
    text = _SYNONYM.sub(_synonym, text)
    text = _OVER.sub(r"\\frac{\1}{\2}", text)
    text = _ANGLED.sub(r"(\1)", _BLACKBOARD.sub(r"\\mathbb{\1}", text))
    text = _FRAC_TOP.sub(r"\\\1{\2}", text)
    text = _FRAC_BOTTOM.sub(r"\1{\2}", text)
    return _ROOT.sub(r"\1{\2}", text)


def _in_place(match: re.Match[str]) -> str:
    """Return what a font command encloses: one group before a power or an index, apart from letters beside it."""
    content = next(filter(None, match.groups()), "").strip()
    before, after = match.string[: match.start()][-1:], match.string[match.end() :][:1]
    if len(content) > 1 and after in ("^", "_"):
        return f"{{{content}}}"
    return " " * _same_class(before, content[:1]) + content + " " * _same_class(content[-1:], after)


def _same_class(left: str, right: str) -> bool:
    return (left.isalpha() and right.isalpha()) or (left.isdigit() and right.isdigit())


def _synonym(match: re.Match[str]) -> str:
    command = _SYNONYMS[match.group(1)]
    return f"{command} " if command[-1].isalpha() else command


def _numbers(text: str) -> str:
    r"""Write repeating decimals and mixed numbers as fractions, powers of ten with `\times`, and no gaps in numbers."""
    if (sign := _SIGN_IN_WORDS.match(text)) is not None:
        text = f"-{text[sign.end() :]}"
    if "_" in text:
        text = _UNDERSCORES.sub(lambda match: match.group().replace("_", ""), text)
    if "," in text:
        text = _COMMAS.sub(lambda match: match.group().replace(",", ""), _BRACED_COMMAS.sub("", text))
    if " " in text:
        text = _GAPS.sub(lambda match: match.group().replace(" ", ""), text)
        text = _MIXED.sub(_mixed, text)
    if "." in text:
        text = _REPEATING.sub(_repeating, text)
        text = _RECURRING.sub(lambda match: _fraction(match[1], match[2], match[3] or match[4]), text)
    if "10" in text:
        text = _TEN_TO_THE.sub(lambda match: rf"\times 10^{{{int(match[1] or match[2] or match[3])}}}", text)
    return _E_NOTATION.sub(lambda match: rf"{match[1]}\times 10^{{{int(match[2])}}}", text)


def _mixed(match: re.Match[str]) -> str:
    whole, top, bottom = match.groups()
    return rf"{whole}\frac{{{top}}}{{{bottom}}}" if int(top) < int(bottom) else match.group()


def _repeating(match: re.Match[str]) -> str:
    whole, before, group, digit, middle, last, bracketed = match.groups()
    return _fraction(whole, before, bracketed or (group or digit) + (middle or "") + (last or ""))


def _fraction(whole: str, before: str, period: str) -> str:
    value = Fraction(int(whole + before or 0), 10 ** len(before))
    value += Fraction(int(period), 10 ** len(before) * (10 ** len(period) - 1))
    return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


def _programs(text: str) -> str:
    if any(sign in text for sign in _COMPARISONS):
        text = _COMPARISON.sub(lambda match: _COMPARISONS[match.group()], text)
    if not _PROSE.fullmatch(text):
        text = _MODULES.sub("", text)
        text = _FACTORIAL.sub(r"\1!", _TYPES.sub(r"\1", text))
        text = _BASE_IN_NAME.sub(r"\\log_{\1}", text)
        text = _ROOT_OF_BRACKET.sub(lambda match: "cbrt(" if match.group(1) else "sqrt(", text)
        text = _INVERSES.sub(r"arc\1\2", text)
        text = replace_calls(text, _CALLS_OF_PROGRAMS if "*" in text else _CALLS)
        text = _CALLED.sub(r"\\\1", text)
        text = _WORD_SIGN.sub(_word_sign, text)
        text = _EULER.sub("e", _IMAGINARY.sub("i", text))
    if "^" in text:
        text = _group_powers(_SIGNED_POWER.sub(r"^{\1}", text))
    return text


def _word_sign(match: re.Match[str]) -> str:
    word = match.group(1)
    return rf"\{'infty' if word in ('oo', 'inf', 'infinity') else word} "


def _group_powers(text: str) -> str:
    """Write `x^(n+1)` as `x^{n+1}`."""
    position = text.find("^(")
    while position >= 0:
        end = balanced_end(text, position + 1)
        if end is None:
            break
        text = f"{text[: position + 1]}{{{text[position + 2 : end]}}}{text[end + 1 :]}"
        position = text.find("^(", position + 1)
    return text


def _log(inside: str, name: str = r"\log") -> str:
    """`log(8, 2)` is to the base 2 in Python and sympy; a comma may group the digits of one number, too."""
    parts = split_items(inside)
    if len(parts) != 2 or _THOUSANDS.fullmatch(inside):
        return f"{name}({inside})"
    return rf"\log_{{{parts[1].strip()}}}({parts[0].strip()})"


def _pair(command: str, inside: str) -> str:
    parts = [part.strip() for part in split_items(inside)]
    return rf"\{command}{{{parts[0]}}}{{{parts[1]}}}" if len(parts) == 2 else inside


def _natural_log(inside: str) -> str:
    """Beside a `*` it is a program that writes `log`, and means the natural one."""
    return _log(inside, r"\ln")


def _matrix(inside: str) -> str:
    rows = [row.strip() for row in split_items(inside.strip()[1:-1])] if inside.strip().startswith("[") else []
    if not rows or not all(row.startswith("[") and row.endswith("]") for row in rows):
        return f"Matrix({inside})"
    body = r"\\".join("&".join(item.strip() for item in split_items(row[1:-1])) for row in rows)
    return rf"\begin{{pmatrix}}{body}\end{{pmatrix}}"


_CALLS: dict[str, Callable[[str], str]] = {
    "sqrt": lambda inside: rf"\sqrt{{{inside}}}",
    "cbrt": lambda inside: rf"\sqrt[3]{{{inside}}}",
    "exp": lambda inside: f"e^{{{inside}}}",
    "abs": lambda inside: f"|{inside}|",
    "Abs": lambda inside: f"|{inside}|",
    **dict.fromkeys(["log", r"\log"], _log),
    **dict.fromkeys(["Rational", "Fraction"], lambda inside: _pair("frac", inside)),
    "binomial": lambda inside: _pair("binom", inside),
    "Matrix": _matrix,
}
_CALLS_OF_PROGRAMS = {**_CALLS, "log": _natural_log}
