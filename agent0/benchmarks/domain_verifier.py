"""Judging answers by the verifier of a domain, in the sandbox.

The pool is this process's own, whatever `sandbox.endpoints` says, as for `gym_verifier`: samples are judged long after
they are drawn, and in commands that draw none.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent0.answers import Verdict
from agent0.benchmarks.mathematics_rules import boxed
from agent0.benchmarks.spec import Item, Rule
from agent0.config import SandboxSettings
from agent0.domains import Verifier, accept_all

_SETTINGS = SandboxSettings(preload=())  # a few programs do not pay for what is preloaded


def verified_by(verifier: Verifier) -> Rule:
    """Return the rule that an answer is right which the verifier of a domain accepts."""

    def compare(pairs: Sequence[tuple[Item, str]]) -> list[Verdict]:
        if not pairs:
            return []
        from agent0.sandbox import SandboxPool  # a stage whose programs run on services needs no pool to import this

        with SandboxPool(_SETTINGS) as pool:
            right = accept_all(verifier, [(item.question, answer) for item, answer in pairs], pool)
        return [Verdict.TRUE if accepted else Verdict.FALSE for accepted in right]

    return Rule(boxed, compare, "last box; the domain's verifier, in the sandbox")
