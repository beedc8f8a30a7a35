r"""Unicode signs and the ASCII or LaTeX that they stand for."""

from __future__ import annotations

import functools
import re
import unicodedata

VARIABLE = "[A-DF-HJ-Za-df-hj-z]"
"""Pattern of a letter that stands for nothing by itself: not e and i, which may be constants."""
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_MATHEMATICAL_LETTERS = {
    code: form for code in range(0x1D400, 0x1D800) if (form := unicodedata.normalize("NFKC", chr(code))) != chr(code)
}
# What `clean` replaces: characters that are one ASCII character in another width, and blanks.
PLAIN = {
    **_FULL_WIDTH,
    **_MATHEMATICAL_LETTERS,
    **dict.fromkeys(map(ord, "−‐‑–﹣"), "-"),
    **dict.fromkeys(map(ord, "\u00a0\u2002\u2003\u2005\u2009\u200a\u202f\u205f\u3000"), " "),
    **dict.fromkeys(map(ord, "\ufeff\u200b\u200c\u200d\u2060\u2061\u2062\u2063"), None),
    **{ord("。"): ".", ord("、"): ",", ord("’"): "'", ord("∗"): "*", ord("⁄"): "/", ord("∕"): "/", ord("∶"): ":"},
    **{ord("ℯ"): "e", ord("ⅇ"): "e", ord("ⅈ"): "i"},
}


def _table(text: str) -> dict[str, str]:
    words = iter(text.split())
    return dict(zip(words, words, strict=True))


_COMMANDS = _table("""
    ∞ infty  × times  ⋅ cdot  · cdot  ∙ cdot  • cdot  ÷ div  ± pm  ∓ mp  ∘ circ  … ldots  ⋯ ldots  ∣ mid  → to
    ≤ leq  ≥ geq  ⩽ leq  ⩾ geq  ≦ leq  ≧ geq  ≠ neq  ≈ approx  ≡ equiv  ∨ lor  ∧ land  ¬ neg  ∀ forall  ∃ exists
    ∪ cup  ∩ cap  ∈ in  ∉ notin  ⊂ subset  ⊆ subseteq  ∖ setminus  ∅ emptyset  ∠ angle  △ triangle  ⊥ perp  ∥ parallel
    ⌊ lfloor  ⌋ rfloor  ⌈ lceil  ⌉ rceil  ⟨ langle  ⟩ rangle  ∑ sum  ∏ prod  ∫ int  ∂ partial  ∇ nabla
    α alpha  β beta  γ gamma  δ delta  ε epsilon  ϵ epsilon  ζ zeta  η eta  θ theta  ι iota  κ kappa  λ lambda  µ mu
    μ mu  ν nu  ξ xi  π pi  ρ rho  σ sigma  τ tau  υ upsilon  φ phi  ϕ phi  χ chi  ψ psi  ω omega
    Γ Gamma  Δ Delta  Θ Theta  Λ Lambda  Ξ Xi  Π Pi  Σ Sigma  Φ Phi  Ψ Psi  Ω Omega
""")
_SIGNS = {
    **{ord(sign): rf"\{command} " for sign, command in _COMMANDS.items()},
    **{ord(sign): rf"\mathbb{{{letter}}}" for sign, letter in zip("ℝℤℕℚℂ", "RZNQC", strict=True)},
    **{ord("°"): r"^\circ ", ord("℃"): r"^\circ C", ord("℉"): r"^\circ F", ord("′"): "'", ord("″"): "''"},
}
_SCRIPTS = {"^": ("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱˣ", "0123456789+-=()nix"), "_": ("₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₙᵢₓ", "0123456789+-=()nix")}
_SCRIPT_RUNS = [
    (mark, re.compile(f"[{signs}]+"), str.maketrans(signs, letters)) for mark, (signs, letters) in _SCRIPTS.items()
]
_VULGAR = re.compile("([0-9]?)([¼½¾⅐-⅞])")
_ROOTS = re.compile(r"([√∛∜])\s*(?:(-?[0-9]+(?:\.[0-9]+)?|[A-Za-z]|\\[A-Za-z]+)|(?=\{)|(?=\())")
_ROOT_COMMANDS = {"√": r"\sqrt", "∛": r"\sqrt[3]", "∜": r"\sqrt[4]"}
_OVERLINED = re.compile("(?:[0-9][\u0304\u0305])+")
_DOTTED = re.compile("([0-9])\u0307")


def from_unicode(text: str) -> str:
    r"""Return `text` with mathematical signs as LaTeX: `2√3·x²` is `2\sqrt{3}\cdot x^{2}`."""
    if text.isascii():
        return text
    for mark, run, letters in _SCRIPT_RUNS:
        text = run.sub(functools.partial(_script, mark, letters), text)
    text = _VULGAR.sub(_vulgar, text)
    text = _OVERLINED.sub(lambda match: rf"\overline{{{match.group()[::2]}}}", text)
    text = _DOTTED.sub(r"\\dot{\1}", text).translate(_SIGNS)
    return _ROOTS.sub(_root, text)


def _script(mark: str, letters: dict[int, int], match: re.Match[str]) -> str:
    return f"{mark}{{{match.group().translate(letters)}}}"


def _vulgar(match: re.Match[str]) -> str:
    whole, sign = match.groups()
    top, bottom = unicodedata.normalize("NFKC", sign).split("⁄")
    return rf"{whole}\frac{{{top}}}{{{bottom}}}"


def _root(match: re.Match[str]) -> str:
    command = _ROOT_COMMANDS[match.group(1)]
    return f"{command}{{{match.group(2)}}}" if match.group(2) else command
