"""Judging answers by the verifiers of reasoning-gym.

Several of them evaluate the answer's text as Python, or let sympy do so. An answer is a model's, so each verdict is
reached by a program in the sandbox, with its limits and none of this process's rights; a host that cannot prove the
isolation judges nothing. The pool is this process's own, whatever `sandbox.endpoints` says: the verifiers are a package
that is installed here, and seldom where services run.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from agent0.answers import Verdict
from agent0.answers.normalisation import clean
from agent0.benchmarks.mathematics_rules import boxed
from agent0.benchmarks.spec import Item, Rule
from agent0.config import SandboxSettings
from agent0.sandbox import RunResult

FULL_SCORE = 1.0
"""The only score that is right: less is given for parts of an answer, and for an answer inside other words."""
_SETTINGS = SandboxSettings(preload=("reasoning_gym",))
_PROGRAM = """
import ast
from reasoning_gym import create_dataset

entry = ast.literal_eval({entry!r})
dataset = create_dataset({family!r}, size=1, seed=0)
scores, failures = [], []
for answer in {answers!r}:
    try:
        scores.append(dataset.score_answer(answer, entry))
    except Exception as error:
        failures.append(error)
if not scores:
    raise failures[0]
print({mark!r}, max(scores))
"""


def verified(pairs: Sequence[tuple[Item, str]]) -> list[Verdict]:
    """Judge (item, answer) pairs: right if the family's verifier gives the answer, as written or unwrapped, full score.

    Unwrapped is without dollars, an outer box, and a final full stop. A verifier that raises on both is an error.

    Raises:
        SandboxError: the sandbox does not start.
    """
    asked = list(dict.fromkeys((item.entry, item.groups["family"], answer) for item, answer in pairs))
    if not asked:
        return []
    from agent0.sandbox import SandboxPool  # a stage whose programs run on services needs no pool to import this

    mark = secrets.token_hex(8)  # what an answer that is evaluated prints is no score
    with SandboxPool(_SETTINGS) as pool:
        runs = pool.run_many(
            [
                _PROGRAM.format(entry=entry, family=family, mark=mark, answers=[answer, clean(answer)])
                for entry, family, answer in asked
            ]
        )
        verdicts = dict(zip(asked, (_verdict(run, mark) for run in runs), strict=True))
    return [verdicts[item.entry, item.groups["family"], answer] for item, answer in pairs]


def _verdict(run: RunResult, mark: str) -> Verdict:
    if run.status == "timeout":
        return Verdict.TIMEOUT
    name, _, score = run.stdout.rstrip("\n").rpartition("\n")[2].partition(" ")
    if not run.ok or name != mark:
        return Verdict.ERROR
    return Verdict.TRUE if float(score) == FULL_SCORE else Verdict.FALSE


VERIFIED = Rule(
    boxed, verified, f"last box; reasoning-gym's verifier of the family, right only at its score {FULL_SCORE}"
)
