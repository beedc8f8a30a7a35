"""Tasks about programs, run in a real sandbox."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from agent0.answers import majority_vote
from agent0.benchmarks.catalogue import benchmark
from agent0.config import SandboxSettings, load_config
from agent0.consistency import check_consistency
from agent0.domains import accept_all, examine_all, get_domain, get_prompts, settle_all
from agent0.domains.programs import draw
from agent0.errors import UsageError
from agent0.evaluation.scoring import score_responses
from agent0.rollout import RolloutEngine, TokenBudget
from agent0.rollout.agents import CurriculumAgent, ExecutorAgent
from agent0.rollout.scripted import ScriptedBackend
from agent0.sandbox import SandboxPool
from agent0.types import Trajectory

DOMAIN = get_domain("programs")
assert DOMAIN.verifier is not None
VERIFIER = DOMAIN.verifier
SUM = "def f(x, y=0):\n    return x + y"
SQUARE = "def f(x):\n    return x * x"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Any]:
    """A sandbox that soon ends what does not end."""
    with SandboxPool(SandboxSettings(preload=(), memory_mb=256, timeout_seconds=0.7)) as pool:
        yield pool


def examined(text: str, sandbox: Any) -> tuple[str | None, str | None]:
    return examine_all(VERIFIER, [text], sandbox)[text]


@pytest.mark.parametrize(
    ("program", "call", "reason"),
    [
        ("import random\ndef f(x):\n    return random.random() + x", "f(1)", "not_deterministic"),
        ("import random\ndef f(x):\n    return random.Random(x).randint(0, 9)", "f(1)", None),
        ("def f(x):\n    while x:\n        x += 1", "f(1)", "does_not_end"),
        ("def f(x):\n    return 1 // x", "f(0)", "fails"),
        ("def f(x):\n    x += 1", "f(0)", "no_value"),
        ("def f(x):\n    return {x, 2}", "f(1)", "no_value"),
        ("def f(x):\n    return lambda: x", "f(1)", "no_value"),
        ("def f(x):\n    return [x] * 900", "f(1)", "too_large"),
        ("def f(x):\n    print('[7]')\n    return x", "f(1)", None),
    ],
)
def test_a_program_that_cannot_be_asked_about_is_refused_with_its_reason(
    program: str, call: str, reason: str | None, sandbox: Any
) -> None:
    found = examined(f"deduction\n{program}\n{call}", sandbox)
    assert found[1] == reason
    assert (found[0] is None) == (reason is not None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"{SUM}\nf(1)", "no_kind"),
        ("deduction\ndef f(x) return x\nf(1)", "no_program"),
        ("deduction\ndef g(x):\n    return x\ng(1)", "no_function"),
        ("deduction\nimport time\ndef f(x):\n    return time.time()\nf(1)", "import"),
        ("deduction\ndef f(x):\n    return id(x)\nf(1)", "impure"),
        ("deduction\ndef f(x):\n    return (1).__class__.__mro__\nf(1)", "impure"),
        ("deduction\ndef print(x):\n    pass\ndef f(x):\n    return x\nf(1)", "impure"),
        (f"deduction\n{SUM}", "too_few_calls"),
        (f"induction\n{SUM}\nf(1)\nf(2)", "too_few_calls"),
        (f"deduction\n{SUM}\nf(abs)", "no_literal"),
        (f"deduction\n{SUM}\nf({{1, 2}})", "no_literal"),
        (f"deduction\n{SUM}\ng(1)", "no_call"),
        ("deduction\n" + "\n" * 2000 + SUM + "\nf(1)", "too_long"),
        (f"deduction\n{SUM}\nf({{}})", "no_value"),
        (f"deduction\n{SUM}\nf(1, 2)", None),
    ],
)
def test_what_is_no_task_is_refused_before_it_is_run(text: str, reason: str | None) -> None:
    assert DOMAIN.rejection(text) == reason


def test_results_are_those_of_the_sandbox_whatever_the_proposer_says(sandbox: Any) -> None:
    claimed = f"deduction\n{SQUARE}  # a square\nf(3) == 8\nf(4) == 16"
    assert examined(claimed, sandbox)[0] == f"deduction\n{SQUARE}\nf(3) == 9"


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        ("deduction", ["9"], ["9.0", "'9'", "8", "nine", "f(3)", "[" * 3000]),
        ("abduction", ["3", "-3", "f(3)", "3.0 * 1"][:3], ["4", "3, 3", "abs(3)", "'3'", ""]),
        (
            "induction",
            ["lambda x: x ** 2", "def f(n):\n    return n * n", "import math\ndef f(x):\n    return math.prod([x, x])"],
            [
                "lambda x: {3: 9, 4: 16, 5: 25}[x]",  # what it was shown by heart
                "lambda x: x * 3",
                "x * x",
                "def g(x):\n    return x * x",
                "def f(x):\n    while True:\n        pass",
            ],
        ),
    ],
)
def test_an_answer_is_right_by_what_it_does(kind: str, right: list[str], wrong: list[str], sandbox: Any) -> None:
    calls = "\n".join(f"f({number})" for number in range(3, 9))
    question, _ = examined(f"{kind}\n{SQUARE}\n{calls}", sandbox)
    assert question is not None
    pairs = [(question, answer) for answer in (*right, *wrong)]
    assert accept_all(VERIFIER, pairs, sandbox) == [True] * len(right) + [False] * len(wrong)


def test_a_text_and_a_truth_value_are_right_only_as_what_they_are(sandbox: Any) -> None:
    text, _ = examined("deduction\ndef f(x):\n    return x.upper()\nf('tea')", sandbox)
    truth, _ = examined("deduction\ndef f(x):\n    return x > 2\nf(3)", sandbox)
    pairs = [(text, "'TEA'"), (text, "TEA"), (text, "tea"), (truth, "True"), (truth, "1")]
    assert accept_all(VERIFIER, pairs, sandbox) == [True, True, False, True, False]  # type: ignore[arg-type]


def test_the_executor_is_not_told_what_its_answer_is_checked_by() -> None:
    calls = "\n".join(f"f({number}) == {number * number}" for number in range(11, 17))
    told = {kind: DOMAIN.posed(f"{kind}\n{SQUARE}\n{calls}") for kind in DOMAIN.topics}
    assert told["deduction"] == f"{SQUARE}\nWhat does f(11) return?"
    assert told["abduction"] == f"{SQUARE}\nWith which arguments does f return 121?"
    assert "f(13) returns 169." in told["induction"]
    assert "f(14)" not in told["induction"]
    assert "x * x" not in told["induction"]


def test_right_answers_agree_however_they_are_written_and_wrong_ones_win_nothing(sandbox: Any) -> None:
    question = f"abduction\n{SQUARE}\nf(3) == 9"
    made = [
        Trajectory(prompt_ids=(1,), completion_ids=(2,), mask=(1,), text="", finish="eos", answer=answer)
        for answer in ("-3", "3", "f(-3)", "2", "2", "2", "2", None)
    ]
    vote = majority_vote([t.answer for t in settle_all(DOMAIN, [question] * len(made), made, sandbox)])
    assert (vote.answer, vote.count, vote.k) == ("3", 3, 8)
    elsewhere = settle_all(DOMAIN, ["What is 1+1?"], made[3:4], sandbox)  # a known task that is no program's
    assert elsewhere[0].answer == "2"


def test_agents_of_a_verified_domain_propose_what_was_run_and_answer_what_was_checked(
    tokenizer: Any, sandbox: Any
) -> None:
    proposals = iter((f"<question>abduction\n{SQUARE}\nf(3)</question>", "<question>deduction</question>"))
    answers = iter(("\\boxed{-3}", "\\boxed{5}"))

    def engine(texts: Any, ends_at: Any) -> RolloutEngine:
        budget = TokenBudget(prompt=2000, response=400, observation=9, turns=0, ends_at=ends_at)
        return RolloutEngine(tokenizer, ScriptedBackend(tokenizer, lambda _: next(texts)), sandbox, budget)

    settings = load_config("absolute-zero").rollout
    prompts = get_prompts(settings)
    read = CurriculumAgent(engine(proposals, "question"), prompts, DOMAIN).propose(2, 0)
    assert [(p.question, p.rejection) for p in read] == [
        (f"abduction\n{SQUARE}\nf(3) == 9", None),
        (None, "no_function"),
    ]
    solved = ExecutorAgent(engine(answers, "answer"), prompts, DOMAIN).solve([str(read[0].question)], 2, 0)
    assert [made.answer for made in solved[0]] == ["3", None]


def test_what_the_domain_writes_is_what_the_sandbox_finds(sandbox: Any) -> None:
    rng = random.Random(3)
    tasks = [draw(rng) for _ in range(60)]
    found = examine_all(VERIFIER, [task.proposal for task in tasks], sandbox)
    assert [found[task.proposal].question for task in tasks] == [task.question for task in tasks]
    assert all(accept_all(VERIFIER, [(task.question, task.answer) for task in tasks], sandbox))
    assert {task.group for task in tasks} == set(DOMAIN.topics)


def test_its_benchmark_asks_the_verifier() -> None:
    entry = benchmark("domain:programs")
    assert entry.generate is not None
    item = next(item for item in entry.generate(2) if item.groups["group"] == "abduction")
    [right, wrong] = score_responses(
        entry.protocols["paper"], [(item, f"\\boxed{{f({item.gold})}}"), (item, "\\boxed{None}")]
    )
    assert (right.correct, wrong.correct) == (True, False)


def test_settings_for_votes_are_refused_where_labels_are_verified() -> None:
    with pytest.raises(UsageError, match=r"programs verifies its labels .* filtering.truth, execution.grounded_vote"):
        check_consistency(
            load_config(
                "absolute-zero",
                ["filtering.truth=label", "execution.grounded_vote=true", "rollout.max_turns=1"],
            )
        )
