"""When two numbers are the same: exactly where both are exact, else by relative error. For the worker: it needs sympy.

Math-Verify rounds both to six decimals where one is a decimal, and drops what is small from the difference of any
others, so all tiny numbers are equal to it. These functions take the place of its two comparisons.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sympy import (
    Basic,
    Derivative,
    Expr,
    Float,
    I,
    Integer,
    MatrixBase,
    Mul,
    Pow,
    Rational,
    Symbol,
    UnevaluatedExpr,
    exp,
    expand,
)
from sympy.concrete.expr_with_limits import ExprWithLimits
from sympy.core.relational import Relational
from sympy.core.traversal import postorder_traversal

DIGITS = 40  # to which exact expressions are evaluated
EXACT = Float("1e-30")  # relative error of two evaluations of one exact number
NOISE = Rational(1, 10**12)  # relative error that a program's floats gather
SIX_DECIMALS = Rational(5, 10**7)  # error of a decimal, absolute below 1 and relative above
FIVE_DIGITS = Rational(1, 10**5)  # relative error of a decimal that stands for an endless number
SIX_DIGITS = Rational(1, 10**6)  # relative error of two decimals

LARGEST_EXPONENT = 10**6

_PERCENT = UnevaluatedExpr(Rational(1, 100))


def numbers_agree(one: Any, other: Any) -> bool | None:
    """Return whether two sympy expressions are the same number; None where one is no number or both are about 0."""
    if not (isinstance(one, Expr) and isinstance(other, Expr)):
        return None
    whole = _is_integer(one) and _is_integer(other)
    if whole and _percent(one) != _percent(other) and _count(one) == _count(other):
        return True  # a whole number of percent may be given as the number
    left, right = one.doit(), other.doit()
    if left == right:
        return True
    if not (left.is_number and right.is_number) or _is_tower(left) or _is_tower(right):
        return None
    if not (left.has(Float) or right.has(Float)):
        return _exactly_equal(left, right)
    first, second = _rational(left), _rational(right)
    if first is None or second is None or not (_ends(first) and _ends(second)):
        endless = (first or left, second or right)
        return _close(*endless, lambda size: min(SIX_DECIMALS * max(size, 1), FIVE_DIGITS * size))
    if first.is_Integer or second.is_Integer:
        return _close(first, second, lambda size: NOISE * size)
    return _close(first, second, lambda size: max(NOISE * size, min(SIX_DECIMALS, SIX_DIGITS * size)))


def _exactly_equal(left: Any, right: Any) -> bool | None:
    if left.is_Rational and right.is_Rational:
        return False
    close = _close(left, right, lambda size: EXACT * size)
    if not close:
        return close
    difference = (left - right).evalf(DIGITS, maxn=10 * DIGITS)  # as precise as it takes, which the values are not
    return bool(abs(difference) < EXACT**8)


def _close(left: Any, right: Any, tolerance: Callable[[Any], Any]) -> bool | None:
    left, right = left.evalf(DIGITS), right.evalf(DIGITS)
    size = max(abs(left), abs(right))
    if not size.is_comparable or not size.is_finite:
        return None
    if size < EXACT:
        return None
    return bool(abs(left - right) <= tolerance(size))


def _is_tower(value: Any) -> bool:
    """Whether a power has an exponent that no evaluation can bear; inner powers are looked at first."""
    powers = (part for part in postorder_traversal(value) if isinstance(part, (Pow, exp)))
    return any(abs(power.exp.evalf(5)) > LARGEST_EXPONENT for power in powers)


def _rational(value: Any) -> Any:
    """Return the exact rational that an expression of decimals and integers stands for, else None."""
    exact = value.replace(lambda part: part.is_Float, lambda part: Rational(str(part))).doit()
    return exact if exact.is_Rational else None


def _ends(value: Any) -> bool:
    """Whether a rational has a finite decimal."""
    rest = int(value.q)
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1


def _percent(value: Any) -> bool:
    return isinstance(value, Mul) and len(value.args) == 2 and value.args[1] == _PERCENT


def _count(value: Any) -> Any:
    return value.args[0] if _percent(value) else value


def _is_integer(value: Any) -> bool:
    return isinstance(_count(value), Integer)


def numeric_equality(one: Any, other: Any, float_rounding: int, numeric_precision: int) -> bool:
    """Compare as Math-Verify's `sympy_numeric_eq` should; its two settings have no meaning here."""
    if isinstance(one, MatrixBase) and isinstance(other, MatrixBase):
        return one.shape == other.shape and all(
            numeric_equality(left, right, float_rounding, numeric_precision)
            for left, right in zip(one.flat(), other.flat(), strict=True)
        )
    verdict = numbers_agree(one, other)
    if verdict is not None or not (isinstance(one, Expr) and isinstance(other, Expr)):
        return bool(verdict)
    exact = [side.replace(lambda part: part.is_Float, lambda part: Rational(str(part))) for side in (one, other)]
    difference = exact[0] - exact[1]
    return bool(difference == 0 or (exact != [one, other] and expand(difference) == 0))


def with_symbolic_fallback(symbolic: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """Return Math-Verify's symbolic comparison for what is no pair of numbers; numbers are decided by their values."""

    def equality(one: Any, other: Any) -> bool:
        verdict = numbers_agree(one, other)
        return symbolic(one, other) if verdict is None else verdict

    return equality


def with_imaginary_unit(sides: list[list[Any]]) -> list[list[Any]]:
    """Return parsed answers with i as the imaginary unit, unless one of them has an index or a relation."""
    parsed = [value for side in sides for value in side if isinstance(value, (Expr, MatrixBase))]
    names = {symbol.name for value in parsed for symbol in value.free_symbols}
    if "i" not in names or any(value.has(ExprWithLimits, Relational) for value in parsed):
        return sides
    return [[_complex(value) if isinstance(value, (Expr, MatrixBase)) else value for value in side] for side in sides]


def with_named_derivatives(sides: list[list[Any]]) -> list[list[Any]]:
    """Return parsed answers with a symbol for each derivative of a bare variable, which sympy evaluates to 0."""

    def named(value: Any) -> Any:
        derivatives = value.atoms(Derivative)
        unknown = [part for part in derivatives if part.expr.is_Symbol and part.expr not in part.variables]
        return value.xreplace({part: Symbol(str(part)) for part in unknown})

    return [[named(value) if isinstance(value, (Basic, MatrixBase)) else value for value in side] for side in sides]


def _complex(value: Any) -> Any:
    symbols = {symbol: I if symbol.name == "i" else Symbol(symbol.name) for symbol in value.atoms(Symbol)}
    return value.xreplace(symbols)
