from __future__ import annotations

import pytest

from agent0.answers import Grader, majority_vote
from agent0.answers.derivations import Evidence, derivation, evidence, grounded_answers
from agent0.types import ToolCall, Trajectory


def solved(answer: str | None, *programs: str, printed: str | None = None, status: str = "ok") -> Trajectory:
    """A trajectory whose programs printed its answer, or `printed`."""
    shown = f"{answer if printed is None else printed}\n"
    return Trajectory(
        prompt_ids=(1,),
        completion_ids=(2,),
        mask=(1,),
        text="",
        tool_calls=tuple(ToolCall(code=code, observation=shown, status=status) for code in programs),
        finish="eos",
        answer=answer,
    )


def found(*trajectories: Trajectory, question: str = "What is 2 and 3?") -> Evidence:
    vote = majority_vote([trajectory.answer for trajectory in trajectories])
    with Grader() as grader:
        return evidence(question, trajectories, vote, grader)


def counted(*trajectories: Trajectory) -> int:
    return found(*trajectories).derivations


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("print(2+3)", "print( 2 + 3 )  # the sum"),
        ("print((2)+(3))", "print(2+3)"),
        ("a = 2\nprint(a+3)", "price = 2\nprint(price + 3)"),
        ("print([i*i for i in range(3)])", "print([n*n for n in range(3)])"),
        ("print(2+", "print(2+ "),
    ],
)
def test_layout_brackets_and_names_make_no_other_derivation(first: str, second: str) -> None:
    assert derivation(solved("5", first)) == derivation(solved("5", second))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("print(2+3)", "print(3+2)"),
        ("print(2*(3+4))", "print(2*3+4)"),
        ("a = 2\nb = 3\nprint(a-b)", "a = 2\nb = 3\nprint(b-a)"),
        ("print(sum([1, 2]))", "print(max([1, 2]))"),
    ],
)
def test_another_computation_is_another_derivation(first: str, second: str) -> None:
    assert derivation(solved("5", first)) != derivation(solved("5", second))


def test_repetitions_of_one_program_are_one_derivation() -> None:
    assert counted(*[solved("5", "print(2+3)")] * 9, solved("6", "print(2*3)")) == 1


def test_an_answer_without_a_program_confirms_one_with() -> None:
    assert counted(solved("5", "print(2+3)"), solved("5")) == 2


def test_answers_that_are_written_differently_are_the_same_answer() -> None:
    assert counted(solved("0.5", "print(1/2)"), solved("\\frac{1}{2}")) == 2


def test_only_what_reached_the_winning_answer_counts() -> None:
    assert counted(solved("5"), solved("5"), solved("6", "print(6)"), solved(None, "print(7)")) == 1


def test_without_a_winner_there_is_no_derivation() -> None:
    assert counted(solved(None, "print(1)"), solved(None)) == 0


def test_an_answer_is_grounded_where_a_program_of_all_stated_numbers_printed_it() -> None:
    assert found(solved("5", "print(2+3)")).grounded == 1


@pytest.mark.parametrize(
    "trajectory",
    [
        solved("5"),
        solved("5", "print(2+3)", printed="6"),
        solved("5", "print(2+3)", status="error"),
        solved("2", "print(2)"),
        solved("25", "print(2+23)"),
        solved("5", "print(max(1,2), x3)"),
        solved("5", "print(2+3)", printed=""),
    ],
)
def test_an_answer_is_not_grounded_without_program_output_or_all_numbers(trajectory: Trajectory) -> None:
    assert found(trajectory).grounded == 0


def test_the_grounded_share_is_of_the_samples_with_the_winning_answer() -> None:
    samples = [solved("5", "print(2+3)"), solved("5"), solved("5", "print(5)"), solved("5", "print(3+2)")]
    assert found(*samples, solved("6", "print(2*3)")).grounded == 0.5


@pytest.mark.parametrize(
    ("question", "program"),
    [
        ("1,250 pens cost 3 dollars each.", "print(1250*3)"),
        ("A rope of 2.50 m is cut in 4.", "print(2.5/4)"),
        ("Mia has 12 red and 12 blue pens.", "print(2*12)"),
        ("A town has 1,250,000 people.", "print(1_250_000)"),
        ("Is x2 above 7?", "print(7)"),
    ],
)
def test_numbers_are_the_same_however_they_are_written(question: str, program: str) -> None:
    assert found(solved("5", program), question=question).grounded == 1


def test_a_program_may_print_more_and_in_another_spelling() -> None:
    assert found(solved("\\frac{1}{2}", "print(1/2)", printed="the result:\n0.5"), question="1 by 2").grounded == 1


def test_a_vote_of_the_grounded_counts_none_of_the_others() -> None:
    copied_wrongly = [solved("25", "print(2+23)")] * 7
    samples = [
        *copied_wrongly,
        solved("5", "print(2+3)"),
        solved("5", "print(3+2)"),
        solved("6", "print(2*3)", printed="5"),
    ]
    with Grader() as grader:
        answers = grounded_answers("What is 2 and 3?", samples, grader)
    assert answers == [None] * 7 + ["5", "5", None]
    vote = majority_vote(answers)
    assert (vote.answer, vote.count, vote.k) == ("5", 2, 10)
