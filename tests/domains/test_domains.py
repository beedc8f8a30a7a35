from __future__ import annotations

import dataclasses
import random
import sys
from pathlib import Path

import pytest
from given_plugins import Give

from agent0.config import RolloutSettings
from agent0.domains import Domain, Verifier, accept_all, demonstrate, domain_names, examine_all, get_domain, get_prompts
from agent0.domains.word_problems import DOMAIN, TEMPLATES
from agent0.errors import Agent0Error, UsageError

DRAWING = [name for name in domain_names() if get_domain(name).draw]


def drawn(domain: Domain, count: int = 300) -> list:
    assert domain.draw is not None
    rng = random.Random(7)
    return [domain.draw(rng) for _ in range(count)]


@pytest.mark.parametrize("name", DRAWING)
def test_what_a_domain_writes_is_valid_in_it_and_its_truth_is_known(name: str) -> None:
    domain = get_domain(name)
    for task in drawn(domain):
        assert domain.rejection(task.question) is None
        assert domain.known_answer(task.question) == task.answer
    reserved = sum(domain.held_out(task.question) for task in drawn(domain))
    assert 30 < reserved < 100  # about a fifth of 300


@pytest.mark.parametrize("name", DRAWING)
def test_the_program_of_a_task_prints_its_answer(name: str, sandbox: object) -> None:
    for task in drawn(get_domain(name), 20):
        if task.program:
            assert sandbox.run(task.program).stdout.strip() == task.answer  # type: ignore[attr-defined]


def test_every_template_reads_what_it_wrote_and_no_other_question() -> None:
    rng = random.Random(1)
    for template in TEMPLATES:
        task = template.draw(rng)
        assert [other.name for other in TEMPLATES if other.read(task.question)] == [template.name]
        assert template.read(f"{task.question} Explain.") is None
    assert get_domain("word_problems").known_answer("How many days have 3 weeks?") is None
    others = "Rachel has 5 kites and Bo has 3. They share all equally among 7 friends. How many kites are left over?"
    assert get_domain("word_problems").known_answer(others) == "1"
    assert get_domain("word_problems").known_answer(others.replace("many kites", "many coins")) is None
    assert get_domain("word_problems").known_answer(others.replace("7 friends", "0 friends")) is None


def test_a_domain_that_fails_to_know_an_answer_loses_nothing_but_that(capsys: pytest.CaptureFixture[str]) -> None:
    domain = dataclasses.replace(get_domain("word_problems"), known_answer=lambda question: str(1 // len(question)))
    assert (domain.truth("?"), domain.truth("")) == ("1", None)
    assert "truth of '' is not known, since finding it failed: ZeroDivisionError" in capsys.readouterr().err


def refuse(*_: object) -> str:
    raise ZeroDivisionError("by\nnothing.")


async def never(*_: object) -> str:
    return "never"


FAILING = {
    "rejection": refuse,
    "known_answer": lambda question: 3,
    "held_out": refuse,
    "draw": lambda rng: None,
    "on_topic": refuse,
    "posed": lambda question: None,
}
FAILED = "(ZeroDivisionError: by nothing)"


@pytest.fixture
def failing(give: Give) -> Domain:
    """A domain all of whose functions fail."""
    own = dataclasses.replace(DOMAIN, **FAILING, verifier=Verifier(refuse, never))  # type: ignore[arg-type]
    give(DOMAIN=own)
    return get_domain("their_package:DOMAIN")


@pytest.mark.parametrize(
    ("part", "arguments", "told"),
    [
        ("rejection", ("?",), FAILED),
        ("known_answer", ("?",), "(TypeError: it returned 3, and not str or None)"),
        ("held_out", ("?",), FAILED),
        ("draw", (random.Random(0),), "(TypeError: it returned None, and not WorkedTask)"),
        ("on_topic", ("?", "travel"), FAILED),
        ("posed", ("?",), "(TypeError: it returned None, and not str)"),
    ],
)
def test_what_fails_in_a_domain_is_a_sentence_that_names_it(
    part: str, arguments: tuple[object, ...], told: str, failing: Domain
) -> None:
    with pytest.raises(Agent0Error) as raised:
        getattr(failing, part)(*arguments)
    assert (
        str(raised.value) == f"The domain their_package:DOMAIN failed in {part} {told}; correct it, or do without it."
    )


def test_what_fails_in_a_verifier_names_its_domain(failing: Domain) -> None:
    assert failing.verifier is not None
    with pytest.raises(Agent0Error, match=r"^The domain their_package:DOMAIN failed in examine \(ZeroDivision"):
        examine_all(failing.verifier, ["?"], None)  # type: ignore[arg-type]
    assert accept_all(failing.verifier, [("?", "!")], None) == ["never"]  # type: ignore[arg-type]


def test_a_domain_that_leaves_a_function_out_knows_no_truth_as_before(give: Give) -> None:
    give(DOMAIN=Domain(DOMAIN.prompts, refuse))
    domain = get_domain("their_package:DOMAIN")
    assert not domain.knows_truth
    assert domain.draw is None
    assert domain.rejection.__name__ == "refuse"


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ("2+2?", "too_short"),
        ("How many apples are on the tree?", "no_number"),
        ("x" * 295 + " 12 ?!", "too_long"),
        ("Run ```python\nprint(3)\n``` and say 3", "not_plain"),
        ("What is \\boxed{3} plus 4 in all?", "not_plain"),
        ("How many days have 3 weeks?", None),
    ],
)
def test_a_word_problem_is_short_plain_and_has_a_number(question: str, reason: str | None) -> None:
    assert get_domain("word_problems").rejection(question) == reason


def test_a_demonstration_learns_everything_but_the_output() -> None:
    task = drawn(get_domain("word_problems"), 1)[0]
    prompts = get_prompts(RolloutSettings(domain="word_problems"))
    solved = demonstrate(task, prompts, solve=True)
    assert [segment.learned for segment in solved.segments] == [True, False, True]
    assert f"{task.answer}\n" in solved.segments[1].text
    assert solved.completion.endswith(f"\\boxed{{{task.answer}}}")
    proposed = demonstrate(task, prompts, solve=False)
    assert proposed.completion == f"<question>{task.question}</question>"


def test_a_domain_is_found_by_its_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "colours.py").write_text(
        "from agent0.domains import AgentPrompt, Domain, PromptSet\n"
        "def p(text): return AgentPrompt(({'role': 'user', 'content': text},))\n"
        "GOOD = Domain(PromptSet(p('ask'), p('{question}')), lambda question: None)\n"
        "NONE = 3\n"
    )
    (tmp_path / "broken.py").write_text("import nothing_of_this_name\n")
    (tmp_path / "mute.py").write_text((tmp_path / "colours.py").read_text().replace("'{question}'", "'solve'"))
    (tmp_path / "partless.py").write_text("from agent0.domains import Domain\nD = Domain(prompts=None)\n")
    (tmp_path / "promptless.py").write_text(
        "from agent0.domains import Domain\nD = Domain(None, lambda question: None)\n"
    )
    good = (tmp_path / "colours.py").read_text()
    (tmp_path / "lawless.py").write_text(good.replace("lambda question: None", "'any'"))
    (tmp_path / "commaless.py").write_text(good.replace("text},))", "text}))"))
    (tmp_path / "turnless.py").write_text(good.replace("PromptSet(p('ask'),", "PromptSet({'role': 'user'},"))
    (tmp_path / "untemplated.py").write_text(good.replace("p('{question}'))", "p('{question}'), plain='{% if %}')"))
    (tmp_path / "topicless.py").write_text(good.replace("p('{question}'))", "p('{question}'), topic='on it')"))
    (tmp_path / "unlisted.py").write_text(f"{good}\nD = Domain(GOOD.prompts, lambda q: None, topics='algebra')")
    (tmp_path / "unheld.py").write_text(f"{good}\nD = Domain(GOOD.prompts, lambda q: None, on_topic=True)")
    (tmp_path / "wordless.py").write_text(good.replace("({'role': 'user', 'content': text},)", "()"))
    monkeypatch.syspath_prepend(tmp_path)
    assert get_domain("colours:GOOD").known_answer("red?") is None
    for name, message in (
        ("colours:NONE", "no agent0.domains.Domain but int"),
        ("colours:BLUE", "cannot be imported.*BLUE"),
        ("broken:D", "cannot be imported.*nothing_of_this_name"),
        ("mute:GOOD", r"has no \{question\}"),
        ("partless:D", "rejection"),
        ("promptless:D", "not usable: Its prompts are no PromptSet"),
        ("lawless:GOOD", "Its part rejection is 'any', which cannot be called"),
        ("commaless:GOOD", "has 'role' for a turn.*a comma even behind a single one"),
        ("turnless:GOOD", "what is no AgentPrompt"),
        ("untemplated:GOOD", r"'\{% if %\}' .* is no Jinja template"),
        ("topicless:GOOD", r"text 'on it' lacks \{topic\}"),
        ("unlisted:D", "Its topics are 'algebra'; give a tuple of names"),
        ("unheld:D", "Its part on_topic is True, which cannot be called"),
        ("wordless:GOOD", "has no message"),
        ("arithmetics", "did you mean 'arithmetic'"),
        ("no such thing", "installed are arithmetic, mathematics"),
    ):
        with pytest.raises(UsageError, match=message):
            get_domain(name)
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(path.stem, None)
