r"""Kinds of answers on which Math-Verify, or this grader before, gave wrong verdicts; some pairs of each kind."""

import pytest

KINDS = {
    "a program's complex number, and vectors that are none": (
        [("3+4i", "(3+4j)"), ("2i", "2j")],
        [(r"2\mathbf{j}", r"2\mathbf{i}"), ("3i+4j", "4i+3j"), ("3i+4j", "7i"), ("x_{2j}", "x_{2i}")],
    ),
    "words in text that change a value": (
        [("5", r"5\text{ cm}"), ("5", "5 months"), ("3", "3 births"), ("28", "28 marbles"), ("3 fifths", "3 fifths")],
        [
            *[
                ("5", rf"5\text{{ {words}}}")
                for words in ("million", "hundred", "or more", "at most", "and up", "squared")
            ],
            *[("5", answer) for answer in (r"5\text{万}", r"5\mathrm{x}", r"5\text{ ft }3\text{ in}")],
            *[(r"\sqrt2", r"\sqrt2\text{ million}"), (r"5\text{ or more}", r"5\text{ or less}")],
        ],
    ),
    "words that are no counted noun": (
        [],
        [
            ("5", f"5 {word}")
            for word in [
                *["lakh", "crore", "quadrillion", "mio", "Millionen", "тысяч", "млн", "만", "億", "萬", "以上", "May"],
                *["twelfths", "twentieths", "ten-thousandths", "below zero", "degrees below zero", "power three"],
            ]
        ],
    ),
    "grouped digits and mixed numbers inside a formula": (
        [
            *[("2^{10}", "1 024"), (r"11\cdot\frac12", "5 1/2"), ("x=1 000", "x=1000"), (r"2,000\pi", r"2000\pi")],
            *[(r"2{,}000\pi", r"2000\pi"), (r"2\,000\pi", r"2000\pi"), ("y=1,000x+5", "y=1000x+5"), ("1000", "1_000")],
        ],
        [
            *[("2+1", "5 1/2"), ("2-3/4", "2 3/4"), ("x=5 1/2", "x=3"), ("x<5 1/2", "x<3"), ("(x,5 1/2)", "(x,3)")],
            *[("x=1 000", "x=0"), ("(1 000, 2)", "(0,2)"), ("1 000x", "0"), ("1", "1_000"), ("10", "10_000")],
        ],
    ),
    "bases inside a formula": (
        [("101_2", "101_2"), ("2516_8", "2516")],
        [("-101_2", "-101_3"), ("12.4_5", "12.4_6"), ("12_3+1", "12_4+1"), ("(12_3,4)", "(12_4,4)")],
    ),
    "and, or": (
        [("0<x<1", "x>0 and x<1"), ("x>0 and x<1", "0<x<1"), ("2, 3", "2 and 3"), ("2 and 3", "2 or 3")],
        [
            (r"p\land q", r"p\lor q"),
            ("x>0 and x<1", "x>0 or x<1"),
            ("x=1 and y=2", "x=1 or y=2"),
            ("A and B", "A or B"),
        ],
    ),
    "primes, transposition, products of vectors": (
        [("2x", "f'(x)=2x"), ("y'", "y'")],
        [
            *[("f'(x)", "f(x)"), ("f''(x)", "f'(x)"), ("y'", "y"), ("A^T", "A"), ("A^TB", "AB")],
            (r"\vec a\cdot\vec b", r"\vec a\times\vec b"),
        ],
    ),
    "derivatives of what is not given": (
        [(r"\frac{dy}{dx}", r"\frac{dy}{dx}"), ("2x", r"\frac{d}{dx}x^2")],
        [
            *[(r"\frac{dy}{dx}", "0"), (r"\frac{dy}{dx}", r"\frac{dx}{dy}"), (r"\frac{dy}{dx}=x", r"\frac{dx}{dy}=x")],
            (r"\frac{\partial f}{\partial x}", r"\frac{\partial f}{\partial y}"),
        ],
    ),
    "percent of something": ([("20%", "20% increase")], [("20% increase", "20% decrease")]),
    "Euler's number and powers of ten": (
        [("2e-1", "-1+2e"), ("3e+1", "1+3e"), ("1e-05", "0.00001"), ("1.5e-1", "0.15"), ("1e5", "100000")],
        [("2e-1", "0.2")],
    ),
    "dates, ratios, angles, case, sets of sets": (
        [("2:3:4", "4:6:8"), (r"\angle ABC", r"\angle CBA"), (r"\Delta", r"\Delta")],
        [
            *[("2024-01-05", "2024-05-01"), ("2024-01-05", "2018"), ("2:3:4", "1/6"), (r"\angle ABC", r"\angle ACB")],
            *[(r"\Delta", r"\delta"), (r"\{\{1\},\{2\}\}", r"\{1,2\}")],
        ],
    ),
    "what programs print": (
        [
            *[(r"x\ln x-x", "x*log(x) - x"), (r"2\ln 3", "2*log(3)"), ("3", "log(8, 2)"), ("3", "log2(8)")],
            *[(r"\pi", "np.pi"), (r"\sqrt2", "math.sqrt(2)"), ("1/3", "Fraction(1, 3)"), ("0.5", "np.float64(0.5)")],
            *[
                ("10", "binomial(5,2)"),
                ("120", "factorial(5)"),
                (r"\phi", "phi"),
                ("-5", "minus 5"),
                ("-5", "negative 5"),
            ],
            (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", "Matrix([[1, 2], [3, 4]])"),
        ],
        [("2", "log(100)*1")],
    ),
    "signs and commands": (
        [
            *[("3", "log₂8"), ("π", "𝜋"), ("e", "ℯ"), ("2i", "√−4"), (r"\mathbb{R}", r"\mathbb R")],
            *[("10", r"\binom52"), ("(1,2,3)", r"\langle 1,2,3\rangle")],
        ],
        [],
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_pairs_of_a_kind(grader, kind):
    equal, different = KINDS[kind]
    verdicts = grader.equivalent_many([*equal, *different])
    pairs = [*((pair, True) for pair in equal), *((pair, False) for pair in different)]
    wrong = [pair for (pair, expected), verdict in zip(pairs, verdicts, strict=True) if verdict.correct != expected]
    assert wrong == []
