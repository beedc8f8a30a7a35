"""Where turns and trajectories end, with a backend that stops there at once and with one that only knows stop texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent0.protocol import STOP, parse_question
from agent0.rollout import RolloutEngine, TokenBudget
from agent0.rollout.engine import Request
from agent0.rollout.scripted import ScriptedBackend
from agent0.rollout.turn import Pieces, TurnRules, TurnWatch
from agent0.sandbox import RunResult
from agent0.types import Trajectory

BUDGET = TokenBudget(prompt=64, response=400, observation=96, turns=2, ends_at="answer")
PROPOSAL = replace(BUDGET, ends_at="question")
PROGRAM = "```python\nprint(1)\n```"


class StopTexts(ScriptedBackend):
    """Stops at texts only, as vLLM does."""

    async def generate(self, request: Request) -> Any:
        return await super().generate(replace(request, ends=None))


def writing(turns: list[str]) -> Callable[[str], str]:
    """A model that sets out to write these turns, one after each output, and goes on where it was stopped."""
    left, turn = iter(turns), ""

    def write(text: str) -> str:
        nonlocal turn
        written = next((n for n in range(len(turn) - 1, 0, -1) if text.endswith(turn[:n])), 0)
        turn = turn if written else next(left, "")
        return turn[written:]

    return write


class Printing:
    """A sandbox whose programs all print the same."""

    def __init__(self, printed: str) -> None:
        self.printed = printed
        self.sources: list[str] = []

    async def arun(self, source: str) -> RunResult:
        self.sources.append(source)
        return RunResult(
            status="ok", stdout=self.printed, stderr="", exit_code=0, wall_seconds=0, cpu_seconds=0, peak_memory_mb=0
        )


def roll(
    tokenizer: Any,
    turns: list[str],
    *,
    printed: str = "1\n",
    backend: Any = ScriptedBackend,
    budget: TokenBudget = BUDGET,
) -> tuple[Trajectory, list[str]]:
    """Roll out a model that writes these turns, one after each output; what it drew must be aligned."""
    sandbox = Printing(printed)
    engine = RolloutEngine(tokenizer, backend(tokenizer, writing(turns)), sandbox, budget)
    [trajectory] = engine.run([tokenizer("solve 1", add_special_tokens=False).input_ids], 0)
    assert trajectory.logprobs is not None
    assert len(trajectory.completion_ids) == len(trajectory.mask) == len(trajectory.logprobs)
    return trajectory, sandbox.sources


BEHIND = ["", "\n", "\n\n", " \n", "\n```output\n7\n```\nSo \\boxed{7}.", " Done.", "\r\n", "\n\nMore words."]


@pytest.mark.parametrize("backend", [ScriptedBackend, StopTexts])
@pytest.mark.parametrize("behind", BEHIND)
def test_a_program_is_a_call_whatever_is_drawn_behind_it(tokenizer: Any, behind: str, backend: Any) -> None:
    trajectory, sources = roll(tokenizer, [f"Hm.\n{PROGRAM}{behind}", "\\boxed{1}"], backend=backend)
    assert sources == ["print(1)\n"]
    assert (trajectory.answer, trajectory.finish) == ("1", "eos")
    assert trajectory.text.replace("``` \n", "```\n").replace("\r", "").replace("```\n\n", "```\n") in (
        f"Hm.\n{PROGRAM}\n```output\n1\n```\n\\boxed{{1}}",
    )
    assert tokenizer.eos_token_id not in trajectory.completion_ids


@pytest.mark.parametrize("backend", [ScriptedBackend, StopTexts])
@pytest.mark.parametrize("invented", ["\n```output\n7\n```\n", "output\n7\n```\n", " \n```output\n7\n```\n"])
def test_an_output_that_the_model_invents_is_never_taken_for_one(tokenizer: Any, invented: str, backend: Any) -> None:
    turn = f"```python\nprint(1)\n```{invented}So \\boxed{{7}}."
    trajectory, sources = roll(tokenizer, [turn, "\\boxed{1}"], backend=backend)
    assert sources == ["print(1)\n"]
    assert trajectory.answer == "1"
    assert "7" not in trajectory.text
    assert trajectory.text.count("```output\n") == 1


@pytest.mark.parametrize("backend", [ScriptedBackend, StopTexts])
@pytest.mark.parametrize(
    "turn",
    [
        "```\nIt is clear.\n```\nSo \\boxed{5}.",
        "```js\nconsole.log(1)\n```\nSo \\boxed{5}",
        "~~~text\nx\n~~~\n```\nx = 4\n```\n\\boxed{5}",
        "```output\n\\boxed{4}\n```\n\\boxed{5}",
    ],
)
def test_a_block_that_is_no_program_lets_the_model_go_on_in_its_turn(tokenizer: Any, turn: str, backend: Any) -> None:
    trajectory, sources = roll(tokenizer, [turn], backend=backend)
    assert (trajectory.answer, trajectory.finish, sources) == ("5", "eos", [])
    assert set(trajectory.mask) == {1}
    assert turn.startswith(trajectory.text)


@pytest.mark.parametrize("backend", [ScriptedBackend, StopTexts])
def test_a_trajectory_ends_at_the_first_answer(tokenizer: Any, backend: Any) -> None:
    run_on = "So \\boxed{\\frac{1}{2}}. Next problem: 2+2.\n```python\nprint(4)\n```\n\\boxed{4}"
    trajectory, sources = roll(tokenizer, [run_on], backend=backend)
    assert (trajectory.answer, trajectory.finish, sources) == ("\\frac{1}{2}", "eos", [])
    assert trajectory.text.startswith("So \\boxed{\\frac{1}{2}}")
    assert "Next" not in trajectory.text


@pytest.mark.parametrize(
    ("turns", "printed", "answer"),
    [
        ([f"{PROGRAM}\n", "I see."], "\\boxed{7}\n", None),
        ([f"{PROGRAM}\n", "I see."], "```\n\\boxed{7}\n```\n", None),
        (["```python\nprint(f'\\boxed{x}')\n```\n", "I see."], "1\n", None),
        (["<think>\\boxed{7}</think>\\boxed{8}"], "", "8"),
        (["<think>\\boxed{7}"], "", None),
        (["\\boxed{} is \\boxed{ } or \\boxed{8}"], "", "8"),
        (["\\boxed{x = \\boxed{3}} \\boxed{4}"], "", "3"),
    ],
)
def test_an_answer_is_the_models_own(tokenizer: Any, turns: list[str], printed: str, answer: str | None) -> None:
    assert roll(tokenizer, turns, printed=printed)[0].answer == answer


@pytest.mark.parametrize("ends_at", ["answer", None])
def test_nothing_is_cut_where_a_protocol_has_rules_of_its_own(tokenizer: Any, ends_at: Any) -> None:
    turn = "\\boxed{1} or rather \\boxed{2}, finally"
    trajectory, _ = roll(tokenizer, [turn], budget=replace(BUDGET, ends_at=ends_at))
    assert trajectory.text == ("\\boxed{1}" if ends_at else turn)
    assert trajectory.answer == ("1" if ends_at else "2")


@pytest.mark.parametrize("limit", [0, 1, 2])
def test_a_program_beyond_the_last_that_may_run_finishes_as_turns(tokenizer: Any, limit: int) -> None:
    trajectory, sources = roll(tokenizer, [f"{PROGRAM}\n"] * 9, budget=replace(BUDGET, turns=limit))
    assert len(sources) == limit
    assert trajectory.finish == ("turns" if limit else "eos")
    assert trajectory.text.endswith(f"{PROGRAM}\n")
    assert "Error" not in trajectory.text


def test_a_proposal_ends_at_its_question_and_keeps_what_belongs_to_it(tokenizer: Any) -> None:
    question = f"What does\n{PROGRAM}\nprint?"
    turn = f"\\boxed{{1}} <question>{question}</question>\nSolution: \\boxed{{2}} <question>b</question>"
    trajectory, sources = roll(tokenizer, [turn], budget=PROPOSAL)
    assert (trajectory.answer, trajectory.finish, sources) == ("1", "eos", [])
    assert trajectory.text == f"\\boxed{{1}} <question>{question}</question>"


def test_a_program_before_the_question_runs_and_a_draft_in_a_thought_is_none(tokenizer: Any) -> None:
    first = f"<think><question>a</question>{PROGRAM}\n</think>{PROGRAM}\n"
    trajectory, sources = roll(tokenizer, [first, "<question>b</question>"], budget=PROPOSAL)
    assert sources == ["print(1)\n"]
    assert trajectory.text.endswith("<question>b</question>")


def test_a_prompt_that_opens_a_thought_is_seen(tokenizer: Any) -> None:
    engine = RolloutEngine(
        tokenizer,
        ScriptedBackend(tokenizer, lambda _: f"\\boxed{{7}}\n{PROGRAM}\n</think>\\boxed{{8}}"),
        Printing("1\n"),
        BUDGET,
    )
    [trajectory] = engine.run([tokenizer("solve 1 <think>\n").input_ids], 0)
    assert (trajectory.answer, trajectory.tool_calls) == ("8", ())
    assert trajectory.text.startswith("<think>\n\\boxed{7}")


def test_a_draft_in_a_thought_that_the_prompt_opened_is_no_proposal(tokenizer: Any) -> None:
    drafts = ScriptedBackend(tokenizer, lambda _: "Maybe <question>a draft?</question>, no.")
    engine = RolloutEngine(tokenizer, drafts, Printing(""), PROPOSAL)
    [trajectory] = engine.run([tokenizer("propose <think>\n").input_ids], 0)
    assert parse_question(trajectory.text) is None


def watched(tokenizer: Any, text: str, ends: Callable[[list[int]], bool] | None, stop: str | None) -> str:
    """What is drawn of `text` by a backend that watches its tokens."""
    ids = tokenizer(text, add_special_tokens=False).input_ids
    watch = TurnWatch(tokenizer, Pieces(tokenizer), Request([1], 999, stop, 0, ends))
    count = next((number for number, token in enumerate(ids, 1) if watch.ended_by(token)), len(ids))
    return str(tokenizer.decode(ids[:count]))


@given(
    st.lists(
        st.sampled_from(
            ["```python\n", "```\n", "```", "\n", "~~~\n", "print(1)", "\\boxed{", "{", "}", "x", " ", "<think>",
             "</think>", "</Think>", "<question>", "</question>", "<Question>", "</QUESTION>", "'''", "#"]
        ),
        max_size=24,
    ).map("".join),
    st.sampled_from(["answer", "question"]),
)  # fmt: skip
def test_watching_tokens_stops_no_later_than_looking_at_everything_would(
    tokenizer: Any, text: str, ends_at: Any
) -> None:
    """The watch looks only where a turn can end; looking after every token must find nothing earlier."""
    rules = TurnRules(tokenizer, frozenset({"python"}), ends_at)
    ids = tokenizer(text, add_special_tokens=False).input_ids
    ends = rules.watch([], thinking=False)
    assert ends is not None
    everywhere = next((number for number in range(1, len(ids) + 1) if ends(ids[:number])), len(ids))
    at_newline_or_end = watched(tokenizer, text, ends, STOP)
    whole = str(tokenizer.decode(ids[:everywhere]))
    assert at_newline_or_end.startswith(whole)
    found = rules.find_end(
        tokenizer(at_newline_or_end, add_special_tokens=False).input_ids, thinking=False, whole=False
    )
    assert found is None or whole.startswith(found.text) or found.text.startswith(whole)


def test_a_stop_text_ends_a_turn_where_there_are_no_other_rules(tokenizer: Any) -> None:
    assert watched(tokenizer, "One.\nQuestion: 2", None, "Question:") == "One.\nQuestion:"
    assert watched(tokenizer, "One.", None, None) == "One."
