r"""Pairs of answers in every ordinary shape, equal and unequal; and the deliberate differences by reason.

Whether a pair is equal is not recorded: Math-Verify is the reference, and `deliberate_difference` names the
reason where the grader is meant to disagree with it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from fractions import Fraction

from agent0.answers.costly_answers import refusal
from agent0.answers.normalisation import clean, exact_rational, normalise

Pair = tuple[str, str]

WORDS = [
    *("Paris", "London", "north", "south", "increasing", "decreasing", "even", "odd", "Tuesday", "isosceles"),
    *(
        "scalene",
        "rectangle",
        "Evelyn",
        "parabola",
        "hyperbola",
        "yes",
        "no",
        "true",
        "false",
        "listen",
        "silent",
    ),
]
UNITS = ["cm", "m", "km", "kg", "hours", "minutes", "miles", "degrees", "inches"]

_REASONS: list[tuple[str, re.Pattern[str]]] = [
    ("scientific notation is a number", re.compile(r"[0-9.][eE][-+]?[0-9]")),
    ("a mixed number is a sum", re.compile(r"[0-9] [0-9]+/[0-9]")),
    ("a final full stop is no part of an answer", re.compile(r"\.\s*\$?$")),
    ("a percent sign may be in \\text", re.compile(r"\\text\{\s*\\?%")),
    ("spaces may group digits", re.compile(r"[0-9](?: |\\,|\\ |~)[0-9]{3}(?![0-9])")),
    ("full-width characters stand for ASCII", re.compile("[！-～]")),
]


def deliberate_difference(gold: str, answer: str) -> str | None:
    """Return why the grader may disagree with Math-Verify on a pair; None where it must agree."""
    if normalise(gold) == normalise(answer) and not re.search(r"[0-9]", gold + answer):
        return "the same words are the same answer, whatever their case or markup"
    if refusal(clean(gold)) or refusal(clean(answer)):
        return "refused by a guard"
    values = [exact_rational(normalise(side)) for side in (gold, answer)]
    if None not in values and values[0] != values[1]:
        return "numbers agree by relative error"
    for reason, pattern in _REASONS:
        if pattern.search(gold) or pattern.search(answer):
            return reason
    if all(re.fullmatch(r"[A-Za-z]{3,}", normalise(side)) for side in (gold, answer)):
        return "the letters of a word are in order, and its case is free"
    return None


def pairs(count_per_family: int, seed: int) -> dict[str, list[Pair]]:
    """Return distinct (gold, answer) pairs by family."""
    rng = random.Random(seed)
    return {
        name: list(dict.fromkeys(family(rng) for _ in range(count_per_family))) for name, family in FAMILIES.items()
    }


def _integers(rng: random.Random) -> Pair:
    value = rng.choice([rng.randint(-20, 20), rng.randint(-(10**6), 10**6), rng.randint(10**9, 10**12)])

    def write(number: int) -> str:
        grouped = f"{number:,}"
        forms = [
            str(number),
            grouped,
            grouped.replace(",", "{,}"),
            grouped.replace(",", r",\!"),
            f"${number}$",
        ]
        forms += [f" {number} ", f"{number}.0", f"{number}.00", f"\\boxed{{{number}}}", f"{number:05d}"]
        return rng.choice([*forms, grouped.replace(",", r"\,"), f"{number}."])

    return write(value), write(rng.choice([value, value, value + 1, -value, value * 10, value + 100]))


def _fractions(rng: random.Random) -> Pair:
    value = Fraction(rng.randint(-60, 60), rng.randint(2, 40))

    def write(number: Fraction) -> str:
        factor = rng.choice([1, 1, 2, 3])
        top, bottom = number.numerator * factor, number.denominator * factor
        forms = [
            f"\\frac{{{top}}}{{{bottom}}}",
            f"\\dfrac{{{top}}}{{{bottom}}}",
            f"{top}/{bottom}",
            f"${top}/{bottom}$",
        ]
        if top < 0:
            forms += [f"-\\frac{{{-top}}}{{{bottom}}}", f"-{-top}/{bottom}"]
        if 0 < top < 10 and bottom < 10:
            forms += [f"\\frac{top}{bottom}", f"\\frac {top}{bottom}", f"\\frac{top}{{{bottom}}}"]
        if 10**6 % number.denominator == 0:
            forms += [str(float(number))]
        return rng.choice(forms)

    other = rng.choice([value, value, value + Fraction(1, rng.randint(2, 30)), -value, 1 / value if value else value])
    return write(value), write(other)


def _decimals(rng: random.Random) -> Pair:
    if rng.random() < 0.3:
        value = Fraction(rng.randint(1, 50), rng.choice([3, 6, 7, 9, 11]))
        return (
            f"\\frac{{{value.numerator}}}{{{value.denominator}}}",
            f"{float(value):.{rng.choice([2, 4, 6, 8])}f}",
        )
    value = Fraction(rng.randint(-(10**6), 10**6), 10 ** rng.randint(1, 5))

    def write(number: Fraction) -> str:
        text = f"{float(number):.{rng.randint(5, 8)}f}"
        return rng.choice([text, text.rstrip("0").rstrip("."), f"${text}$"])

    offset = rng.choice([0, 0, Fraction(1, 100), Fraction(1, 10**7), Fraction(1, 10**6)])
    return write(value), write(value + offset)


def _intervals(rng: random.Random) -> Pair:
    low, high = sorted(rng.sample(range(-20, 20), 2))
    left, right = rng.choice("(["), rng.choice(")]")
    if rng.random() < 0.2:
        gold = f"(-\\infty, {low}) \\cup ({high}, \\infty)"
        forms = [f"(-\\infty,{low})\\cup({high},\\infty)", f"({high},\\infty)\\cup(-\\infty,{low})"]
        return gold, rng.choice([*forms, f"(-\\infty,{low}]\\cup({high},\\infty)"])

    def write(left: str, low: int, high: int, right: str) -> str:
        forms = [f"{left}{low},{high}{right}", f"{left}{low}, {high}{right}"]
        return rng.choice([*forms, f"\\left{left}{low}, {high}\\right{right}", f"${left}{low},\\,{high}{right}$"])

    changed = rng.choice([(left, low, high, right)] * 2 + [(left, low, high + 1, right), ("(", low, high, "]")])
    return write(left, low, high, right), write(*changed)


def _sets(rng: random.Random) -> Pair:
    items = rng.sample(range(-20, 30), rng.randint(2, 5))
    others = rng.sample(items, len(items))
    if rng.random() < 0.4:
        others[0] += 100
    elif rng.random() < 0.1:
        others.pop()

    def write(values: list[int]) -> str:
        spaced, tight = ", ".join(map(str, values)), ",".join(map(str, values))
        return rng.choice([f"\\{{{tight}\\}}", f"\\{{{spaced}\\}}", spaced, tight, f"\\left\\{{{spaced}\\right\\}}"])

    return write(items), write(others)


def _tuples(rng: random.Random) -> Pair:
    size = rng.randint(2, 4)
    items = [rng.choice([str(rng.randint(-9, 30)), f"\\frac{{{rng.randint(1, 9)}}}{{7}}"]) for _ in range(size)]
    others = list(items)
    draw = rng.random()
    if draw < 0.3:
        others[rng.randrange(size)] = str(rng.randint(31, 60))
    elif draw < 0.5:
        rng.shuffle(others)

    def write(values: list[str]) -> str:
        spaced = ", ".join(values)
        return rng.choice([f"({','.join(values)})", f"({spaced})", f"\\left({spaced}\\right)", f"$({spaced})$"])

    return write(items), write(others)


def _matrices(rng: random.Random) -> Pair:
    matrix = [[rng.randint(-9, 9) for _ in range(rng.randint(1, 3))]]
    matrix += [[rng.randint(-9, 9) for _ in matrix[0]] for _ in range(rng.randint(0, 2))]
    other = [list(row) for row in matrix]
    if rng.random() < 0.4:
        other[0][0] += 1

    def write(rows: list[list[int]], kind: str) -> str:
        return f"\\begin{{{kind}}} " + " \\\\ ".join(" & ".join(map(str, row)) for row in rows) + f" \\end{{{kind}}}"

    return write(matrix, "pmatrix"), write(other, rng.choice(["pmatrix", "bmatrix"]))


def _polynomials(rng: random.Random) -> Pair:
    a, b, c = (rng.choice([-5, -3, -2, -1, 1, 2, 4, 6]) for _ in range(3))
    x = rng.choice("xytn")
    terms = [f"{a * b:+d}{x}^2", f"{a * c + b:+d}{x}", f"{c:+d}"]
    other = [terms[0], f"{a * c + b + 1:+d}{x}", terms[2]] if rng.random() < 0.4 else terms
    forms = [
        "".join(other),
        "".join(reversed(other)),
        "".join(other).replace("^2", "^{2}"),
        f"({a}{x}+1)({b}{x}{c:+d})",
    ]
    return "".join(terms).lstrip("+"), rng.choice(forms).lstrip("+")


def _units(rng: random.Random) -> Pair:
    number, unit = rng.randint(1, 500), rng.choice(UNITS)

    def write(value: int) -> str:
        forms = [str(value), f"{value} {unit}", f"{value}\\text{{ {unit}}}", f"{value}\\,\\text{{{unit}}}"]
        return rng.choice(
            [*forms, f"{value} \\mathrm{{{unit}}}", f"{value}^\\circ", f"\\${value}", f"{value}^{{\\circ}}"]
        )

    return write(number), write(rng.choice([number, number, number + 1]))


def _percentages(rng: random.Random) -> Pair:
    number = rng.choice([float(rng.randint(1, 100)), 12.5, 37.5])

    def write(value: float) -> str:
        forms = [
            f"{value:g}%",
            f"{value:g}\\%",
            f"{value:g} \\%",
            f"{value:g}",
            f"{value:g} percent",
            f"{value / 100:g}",
        ]
        return rng.choice([*forms, f"{value:g}\\text{{%}}"])

    return write(number), write(rng.choice([number, number, number + 1]))


def _text(rng: random.Random) -> Pair:
    if rng.random() < 0.3:
        letter = rng.choice("ABCDE")
        marks = ["{}", "({})", "\\text{{{}}}", "\\text{{({})}}", "\\textbf{{({})}}", "\\mathrm{{{}}}"]
        other = rng.choice([letter, letter, rng.choice("ABCDE")])
        return rng.choice(marks).format(letter), rng.choice(marks).format(other)

    def write(word: str) -> str:
        return rng.choice([word, word.lower(), word.capitalize(), f"\\text{{{word}}}", f"\\text{{ {word} }}"])

    word = rng.choice(WORDS)
    return write(word), write(rng.choice([word, word, rng.choice(WORDS)]))


def _radicals(rng: random.Random) -> Pair:
    factor, root = rng.randint(2, 6), rng.choice([2, 3, 5, 7])
    other = rng.choice([factor, factor, factor + 1])
    if rng.random() < 0.5:
        forms = [f"\\sqrt{{{other * other * root}}}", f"{other}\\sqrt{root}", f"{other} \\sqrt{{{root}}}"]
        return f"{factor}\\sqrt{{{root}}}", rng.choice([*forms, f"{other}\\cdot\\sqrt{{{root}}}"])
    forms = [
        f"{other}\\pi",
        f"{other} \\pi",
        f"\\pi \\cdot {other}",
        f"{other}π",
        f"{other * 3.14159265:.6f}",
    ]
    return f"{factor}\\pi", rng.choice(forms)


def _relations(rng: random.Random) -> Pair:
    x, gold = rng.choice("xyk"), rng.randint(-20, 20)
    other = rng.choice([gold, gold, gold + 1])
    assignments = [
        (f"{x}={gold}", f"{other}"),
        (f"{gold}", f"{x} = {other}"),
        (f"{x} = {gold}", f"{x}={other}"),
    ]
    orders = [
        (f"{x}>{gold}", f"{other}<{x}"),
        (f"{x} \\le {gold}", f"{x} \\leq {other}"),
        (f"x={gold}", f"y={other}"),
    ]
    lines = [(f"y=2x{gold:+d}", f"y = 2x {other:+d}"), (f"{gold} < x < {gold + 5}", f"({other},{gold + 5})")]
    return rng.choice(assignments + orders + lines)


def _mixed_numbers(rng: random.Random) -> Pair:
    whole, top, bottom = rng.randint(1, 9), rng.randint(1, 4), rng.randint(5, 9)
    value = whole + Fraction(top, bottom)
    other = rng.choice([value, value, value + 1])
    gold = rng.choice([f"{whole}\\frac{{{top}}}{{{bottom}}}", f"{whole} {top}/{bottom}"])
    return gold, rng.choice(
        [f"\\frac{{{other.numerator}}}{{{other.denominator}}}", f"{other.numerator}/{other.denominator}"]
    )


def _scientific(rng: random.Random) -> Pair:
    mantissa, exponent = rng.choice([1.5, 2.25, 6.02, 3]), rng.randint(2, 9)

    def write(power: int) -> str:
        forms = [
            f"{mantissa} \\times 10^{{{power}}}",
            f"{mantissa}\\times10^{power}",
            f"{mantissa}\\cdot 10^{{{power}}}",
        ]
        return rng.choice([*forms, f"{mantissa}e{power}", str(round(mantissa * 10**power)), f"{mantissa} × 10^{power}"])

    return write(exponent), write(rng.choice([exponent, exponent, exponent + 1]))


FAMILIES: dict[str, Callable[[random.Random], Pair]] = {
    "integers": _integers,
    "fractions": _fractions,
    "decimals": _decimals,
    "intervals": _intervals,
    "sets": _sets,
    "tuples": _tuples,
    "matrices": _matrices,
    "polynomials": _polynomials,
    "units": _units,
    "percentages": _percentages,
    "text": _text,
    "radicals": _radicals,
    "relations": _relations,
    "mixed numbers": _mixed_numbers,
    "scientific": _scientific,
}
