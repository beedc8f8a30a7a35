"""Each kind of spelling that means the same: by normal form, or by the grader where Math-Verify must read it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent0.answers import Verdict, normalise
from agent0.answers.spelling import spell


@given(st.integers(1, 9999), st.integers(-40, 60))
def test_a_power_of_ten_has_one_form_in_every_spelling(digits, power):
    mantissa = str(digits / 1000)
    signs = [r"\times", r"\cdot", "×", "·", "x", "*", r" \times ", r"\,\cdot\,"]
    forms = {f"{mantissa}e{power}", f"{mantissa}E{power:+d}", f"{mantissa}*10**{power}", f"{mantissa} * 10^({power})"}
    forms |= {f"{mantissa}{sign}10^{{{power}}}" for sign in signs} | {f"${mantissa} × 10^{power}$"}
    superscript = str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    assert len({normalise(form) for form in forms | {f"{mantissa}·10{superscript}"}}) == 1


@given(st.integers(0, 50), st.text("0123456789", max_size=3), st.text("0123456789", min_size=1, max_size=4))
def test_a_repeating_decimal_is_its_fraction(whole, before, period):
    scale, nines = 10 ** len(before), 10 ** len(period) - 1
    top = int(f"{whole}{before}{period}") - int(f"{whole}{before}")
    fraction = normalise(f"{top}/{scale * nines}")
    over = "".join(f"{digit}\u0305" for digit in period)
    marks = [rf"\overline{{{period}}}", rf"\bar{{{period}}}", f"({period})", over]
    assert {normalise(f"{whole}.{before}{mark}") for mark in marks} == {fraction}


@pytest.mark.parametrize(
    "spellings",
    [
        ["2\\sqrt{3}", "2√3", "2√{3}", "2 √3", r"2\sqrt3", "2\\sqrt {3}", "2sqrt(3)"],
        [r"\sqrt[3]{2}", r"\sqrt[3]2", "∛2", "cbrt(2)"],
        [r"\sqrt{x+1}", "√(x+1)", "sqrt(x + 1)"],
        [r"x\cdot y", "x·y", "x⋅y", "x∙y"],
        [r"A\cup B", "A∪B", "A ∪ B"],
        [r"x\leq 5", "x≤5", "x <= 5", r"x\le 5", r"x \leqslant 5"],
        [r"x\neq 5", "x≠5", "x != 5", r"x\ne5", r"x \not= 5"],
        ["x^2", "x²", "x**2", "x^{2}", "x^(2)"],
        ["x^{-1}", "x⁻¹", "x**-1", "x^{-1}", "x^(-1)"],
        ["x_1", "x₁", "x_{1}"],
        [r"\pi r^2", "πr²", r"\pi r^{2}"],
        [r"\frac{1}{2}", "½", r"\nicefrac{1}{2}", r"{1 \over 2}", r"\\frac{1}{2}", "Rational(1, 2)"],
        ["5/2", "2½", r"2\frac{1}{2}"],
        [r"\infty", "∞", "oo", "inf", "infinity"],
        [r"\emptyset", "∅", r"\varnothing"],
        [r"\mathbb{R}", "ℝ", r"\R"],
        [r"\frac{1}{e}", r"\frac{1}{\mathrm{e}}", r"\frac1e", r"\frac{1}{\mathrm e}", r"\frac1{\text{e}}"],
        ["3+2i", r"3+2\mathrm{i}", "3+2j", r"3+2\text{i}"],
        [
            "5",
            r"\bm{5}",
            r"\boldsymbol{5}",
            r"\mathbf{5}",
            r"{\bf 5}",
            r"\textcolor{red}{5}",
            r"\displaystyle 5",
            "{5}",
        ],
        [
            "5",
            "5\\",
            "5\\ ",
            "5 \\\\",
            "5。",
            "5．",
            "5,",
            "5;",
            "5:",
            "5、",
            "$5$,",
            "`5`",
            "```5```",
            "5~",
            r"5\,",
            r"5\quad",
            "= 5",
            "`$5$`",
        ],
        [r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1\\[4pt]2\end{pmatrix}"],
        ["(1,2)", r"\bigl(1,2\bigr)", r"\left(1,\hspace{2pt}2\right)", "（1，2）"],
        [r"\frac{\pi}{2}", r"\frac\pi2", r"\dfrac{\pi}{2}", r"\frac{π}{2}"],
        [r"1,2,\ldots,10", "1,2,…,10", r"1,2,\dots,10", r"1, 2, \cdots, 10"],
        ["28", "€28", "28€", r"US\$28", "US$28", "£28.00", "USD 28", r"\pounds 28", "₹28"],
        ["-5", "-$5", "$-5", "-€5"],
        ["3:30 pm", "3:30 p.m.", "3:30 PM", "3:30PM", r"3:30\text{ PM}", "03:30 P.M."],
        ["1/3", "0.333...", r"0.\dot{3}", r"0.333\ldots", r".\overline{3}"],
    ],
)
def test_spellings_of_one_answer_have_one_form(spellings):
    assert {spelling: normalise(spelling) for spelling in spellings} == dict.fromkeys(
        spellings, normalise(spellings[0])
    )


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        *[(r"\log_{2}(8)", "log(8, 2)"), (r"\log_{2}(8)", r"\log(8,2)")],
        *[(r"\log_{2}(\log_{3}(9))", "log(log(9, 3), 2)"), (r"\log_{b}(x)", r"\log (x, b)")],
        *[(r"2\pi r", "2*pi*r"), ("e^{x}", "exp(x)"), (r"\sin^2 x", "sin(x)**2"), (r"[0,\infty)", "[0, oo)")],
        *[(r"\frac{\sqrt{5}+1}{2}", "(1 + sqrt(5))/2"), ("|x|", "Abs(x)"), (r"\arcsin x", "asin(x)")],
        *[(r"1-\frac{1}{\mathrm{e}}", r"1-\frac1e"), (r"\ln 2", r"\mathrm{ln}\,2"), ("2^{n+1}", "2**(n+1)")],
        *[("-1", "i^2"), (r"\sqrt{-4}", "2i"), ("i", "1i"), ("2", "(1+i)(1-i)"), ("x^2+1", "(x+i)(x-i)")],
        *[(r"\frac{1+\sqrt5}{2}", "(1+√5)/2"), (r"33.\overline{3}\%", r"33.\overline{3}%"), ("2+3i", "2+3*I")],
    ],
)
def test_formulas_are_read_in_every_notation(grader, gold, answer):
    assert grader.equivalent(gold, answer) is Verdict.TRUE


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        *[(r"\sqrt[3]{2}", r"\sqrt2"), ("x**2", "x*2"), ("2√3", "2√5"), ("1.5e8", "1.5e9"), (r"0.\overline{3}", "0.3")],
        *[("3:30 pm", "3:30 am"), ("i^2", "1"), ("-1", "i"), (r"\bm{5}", r"\bm{6}"), ("`5`", "`6`"), ("5.", "5!")],
        (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1\\[4pt]3\end{pmatrix}"),
    ],
)
def test_spelling_never_joins_different_answers(grader, gold, answer):
    assert normalise(gold) != normalise(answer)
    assert grader.equivalent(gold, answer) is Verdict.FALSE


SIGNS = st.sampled_from([*"√²³₁½·∪≤π∞×𝑥…°ℝ", "\u0305", "sqrt(", "**", "^(", ")", "pi", "oo", "<=", "1e3", "0.", "(3)"])
LATEX = st.sampled_from(
    [r"\frac", r"\sqrt", r"\bm{", r"\mathrm{e}", r"\overline{", r"\over ", r"\\[4pt]", "}", "{", "1", "x"]
)


@settings(max_examples=300)
@given(st.lists(SIGNS | LATEX, max_size=10).map("".join))
def test_spelling_a_spelled_text_changes_no_form(text):
    assert normalise(normalise(text)) == normalise(text)
    assert isinstance(spell(text), str)
