"""An environment of verifiers as a domain: the example's, and those that cannot be one."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from agent0.benchmarks.catalogue import benchmark
from agent0.config import RolloutSettings
from agent0.domains import demonstrate, get_domain, get_prompts, in_reserved_fifth
from agent0.environments import environment_domain
from agent0.errors import NotInstalledError, UsageError
from agent0.protocol import TOOL_RULES

pytestmark = pytest.mark.skipif(not find_spec("verifiers"), reason="the extra verifiers is not installed")
CHAINS = "my_taskset:CHAINS"


@pytest.fixture
def chains(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "examples")
    return CHAINS


@pytest.fixture
def small() -> ModuleType:
    import small_tasksets

    return small_tasksets


def test_the_examples_environment_is_a_domain_with_its_truth_and_its_benchmark(chains: str) -> None:
    domain = get_domain(chains)
    assert domain.draw is not None
    task = domain.draw(random.Random(0))
    assert task == domain.draw(random.Random(0))
    assert domain.truth(task.question) == task.answer
    assert domain.truth("State the final answer to: 1 + 1 =") is None
    assert domain.rejection(task.question) is None
    assert (domain.rejection("1"), domain.rejection("1" * 5000)) == ("too_short", "too_long")
    items = benchmark(f"domain:{chains}").generate
    assert items is not None
    assert all(in_reserved_fifth(item.question) and domain.truth(item.question) == item.gold for item in items(40))


def test_the_agents_are_shown_tasks_that_are_not_held_out_and_told_of_their_tools(chains: str) -> None:
    prompts = get_prompts(RolloutSettings(domain=chains))
    asked, told = prompts.propose()[0]["content"], prompts.solve("Q?")
    shown = asked.split("<question>")[1:4]
    known = [question.split("</question>")[0] for question in shown]
    assert all(get_domain(chains).truth(question) and not in_reserved_fifth(question) for question in known)
    assert TOOL_RULES in asked
    assert TOOL_RULES in told[0]["content"]
    assert told[1]["content"] == "Q?"


def test_a_demonstration_without_a_program_answers_at_once(chains: str) -> None:
    draw = get_domain(chains).draw
    assert draw is not None
    task = draw(random.Random(1))
    shown = demonstrate(task, get_prompts(RolloutSettings(domain=chains)), solve=True)
    assert shown.completion == f"The answer is \\boxed{{{task.answer}}}"


def test_an_answer_is_read_from_the_field_that_is_named_and_a_bare_one_is_confirmed_in_any_loop(
    small: ModuleType,
) -> None:
    taskset, exact = small.taskset, small.Exact
    domain = environment_domain(taskset(exact), answer="gold")
    assert domain.truth("How much is 4 and one?") == "5"

    async def within_a_loop() -> str | None:
        return environment_domain(taskset(exact, 2), answer="gold").truth("How much is 0 and one?")

    assert asyncio.run(within_a_loop()) == "1"
    assert environment_domain(taskset(exact, 0), answer="gold").truth("How much is 0 and one?") == "1"


@pytest.mark.parametrize(
    ("given", "answer", "message"),
    [
        (
            lambda small: small.taskset(small.Exact),
            "answer",
            r"A task of the environment Made states no 'answer'; .* one of gold, or",
        ),
        (
            lambda small: small.taskset(small.Kind),
            "gold",
            r"does not reward '1', which its task 'How much is 0 and one\?' states as its answer",
        ),
        (lambda small: small.taskset(small.Exact).take(0), "gold", r"The environment Made has no tasks"),
    ],
)
def test_an_environment_that_cannot_be_a_domain_is_refused(
    small: ModuleType, given: Callable[[ModuleType], Any], answer: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        environment_domain(given(small), answer)


def test_a_missing_extra_is_named(chains: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in ("verifiers", "my_taskset")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "verifiers", None)
    get_domain.cache_clear()
    with pytest.raises(NotInstalledError, match=r"^The domain my_taskset:CHAINS is not usable: .*\[verifiers\]"):
        get_domain(chains)
    with pytest.raises(NotInstalledError, match=r"agent0\[verifiers\]"):
        environment_domain(None)
