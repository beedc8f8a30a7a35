"""Votes counted in a process of their own: the same votes, and nobody waits for ever."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest

from agent0.answers import VoteCounter, majority_vote
from agent0.errors import Agent0Error, UsageError

SYMBOLIC = ["x^2+3x", "x(x+3)", "x^2-3x", None, "3x+x^2"]


@pytest.fixture
def counter() -> Iterator[VoteCounter]:
    with VoteCounter() as counter:
        yield counter


def test_each_vote_is_the_one_that_would_be_counted_here(counter: VoteCounter) -> None:
    polls = [SYMBOLIC, ["1", "1.0", "2"], [None, None], ["\ud800", "é", "\n"], ["9" * 70_000, "7"]] * 3
    counted = [counter.count(answers) for answers in polls]
    assert [vote.result() for vote in counted] == [majority_vote(answers) for answers in polls]


def test_a_vote_of_nobody_is_refused(counter: VoteCounter) -> None:
    with pytest.raises(UsageError, match="at least one sample"):
        counter.count([])


def test_whoever_waits_for_a_process_that_has_gone_is_told(counter: VoteCounter) -> None:
    counter.count(["1"]).result()
    process = counter._process
    process.send_signal(19)  # stopped, so that the votes are under way when it is killed
    waiting = [counter.count(SYMBOLIC) for _ in range(3)]
    process.kill()
    for vote in [*waiting, counter.count(["1"])]:
        with pytest.raises(Agent0Error, match=r"ended with status -9.*more memory"):
            vote.result(timeout=60)


def test_closing_leaves_no_process_and_no_vote_undecided() -> None:
    counter = VoteCounter()
    counter.count(SYMBOLIC).result()
    family = [psutil.Process(counter._process.pid), *psutil.Process(counter._process.pid).children(recursive=True)]
    assert len(family) > 1  # Math-Verify's worker is one of them
    counter.close()
    counter.close()
    _, alive = psutil.wait_procs(family, timeout=30)
    assert not alive
    with pytest.raises(Agent0Error, match="not counted"):
        counter.count(["1"]).result(timeout=60)
