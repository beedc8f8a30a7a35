from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import agent0.sandbox
from agent0.answers import equivalent_many
from agent0.benchmarks import gym_verifier
from agent0.benchmarks.catalogue import benchmark, is_benchmark, known_tasks
from agent0.benchmarks.gym_questions import Order, is_probe, make
from agent0.benchmarks.shipped.gym import SETS, categories, families
from agent0.benchmarks.spec import BenchmarkError, Item, file_name
from agent0.benchmarks.votes import spelling_vote
from agent0.cli.main import app
from agent0.config import EvaluationSettings, RolloutSettings, SamplingSettings, SandboxSettings
from agent0.domains import get_prompts
from agent0.errors import UsageError
from agent0.evaluation.assignments import Assignment, prepare
from agent0.evaluation.conclusion import Subject, conclude, judge
from agent0.evaluation.executor_scores import executor_scores
from agent0.evaluation.results import read_questions, read_report
from agent0.evaluation.sample_runner import open_stores, run_assignments
from agent0.evaluation.scoring import score_responses
from agent0.rollout.engine import Backend
from agent0.rollout.scripted import ScriptedBackend
from agent0.sandbox import SandboxPool
from agent0.sandbox.stage_sandbox import NoSandbox

if importlib.util.find_spec("reasoning_gym") is None:  # importing it takes seconds, here in each process
    pytest.skip("reasoning-gym is not installed", allow_module_level=True)
ROLLOUT = RolloutSettings(batch_size=8, max_response_tokens=64, max_observation_tokens=8)


@pytest.fixture(scope="module")
def judging() -> Iterator[SandboxPool]:
    """The sandbox that judges, started once: it imports the package."""
    with SandboxPool(gym_verifier._SETTINGS) as pool:
        yield pool


@pytest.fixture(autouse=True)
def _judged_in_one_sandbox(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(settings: SandboxSettings) -> AbstractContextManager[SandboxPool]:
        assert settings == gym_verifier._SETTINGS
        return nullcontext(request.getfixturevalue("judging"))

    monkeypatch.setattr(agent0.sandbox, "SandboxPool", opened, raising=False)


def statuses(name: str, answers: list[tuple[Item, str]]) -> list[str]:
    protocol = benchmark(name).protocols["paper"]
    return [
        scored.status for scored in score_responses(protocol, [(i, f"so \\boxed{{{answer}}}") for i, answer in answers])
    ]


@pytest.mark.parametrize("name", ["gym:small", "gym:knights_knaves", "gym:prime_factorization", "gym:spiral_matrix"])
def test_the_packages_own_verifier_accepts_its_answers_and_refuses_those_of_other_questions(name: str) -> None:
    items = benchmark(name).generate(3)  # type: ignore[misc]
    right = [(item, item.gold) for item in items]
    others = [(item, next(o.gold for o in items if o.gold != item.gold)) for item in items]
    found = statuses(name, [*right, *others])
    assert set(found[: len(right)]) == {"correct"}
    assert "correct" not in found[len(right) :]


def test_a_family_without_a_single_answer_is_judged_by_what_its_puzzle_asks() -> None:
    [item] = benchmark("gym:graph_color").generate(1)  # type: ignore[misc]
    assert item.gold == ""
    found = ast.literal_eval(item.entry)["metadata"]["possible_answer"]
    solved, one_colour = json.dumps(found), json.dumps(dict.fromkeys(found, 1))
    assert statuses("gym:graph_color", [(item, solved), (item, one_colour)]) == ["correct", "wrong"]


def test_an_answer_in_dollars_is_the_answer_and_a_part_of_the_score_is_not_enough() -> None:
    [item] = benchmark("gym:chain_sum").generate(1)  # type: ignore[misc]
    given = [(item, f"${item.gold}$"), (item, f"{item.gold}."), (item, f"about {item.gold} or so")]
    assert statuses("gym:chain_sum", given) == ["correct", "correct", "wrong"]


def test_an_answer_that_is_a_program_gains_nothing_and_cannot_stop_the_others() -> None:
    items = benchmark("gym:spiral_matrix").generate(1)  # type: ignore[misc]
    programs = [
        "[print(1.0) or exit()]",
        "[sum(iter(int, 1))]",
        "[__import__('os').kill(1, 9)]",
        "[open('/etc/shadow').read()]",
    ]
    found = statuses("gym:spiral_matrix", [(items[0], answer) for answer in [*programs, items[0].gold]])
    assert "correct" not in found[:-1]
    assert found[1] == "timeout"
    assert found[-1] == "correct"


def test_questions_are_the_same_whatever_the_hash_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several families go through sets of texts, whose order Python draws at random."""
    made = []
    for seed in ("1", "2"):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        made.append(make([Order("ransom_note", 0, 3, probes=False)]))
    assert made[0] == made[1] != []


@pytest.mark.parametrize("name", ["gym:small", "gym:coin_flip"])
def test_questions_are_different_and_none_is_a_probe(name: str) -> None:
    entry = benchmark(name)
    asked = [item.question for item in entry.generate(60)]  # type: ignore[misc]
    assert len(set(asked)) == len(asked) == 60 * len(SETS.get(name.removeprefix("gym:"), [name]))
    if name == "gym:small":
        assert not set(asked) & {task.question for task in known_tasks(name, 400)}


def test_half_of_all_questions_are_probes() -> None:
    assert 400 < sum(is_probe(f"What is {number} + 1?") for number in range(1000)) < 600


@pytest.mark.parametrize("count", [1, 7, 8, 20])
def test_probes_come_in_equal_parts_and_the_grader_of_the_vote_knows_their_answers(count: int) -> None:
    items = benchmark("gym:small").probes(count)  # type: ignore[misc]
    shares = [sum(item.groups["family"] == family for item in items) for family in SETS["small"]]
    assert sum(shares) == count
    assert max(shares) - min(shares) <= 1
    assert all(verdict.correct for verdict in equivalent_many((item.gold, item.gold) for item in items))


def test_what_cannot_audit_a_vote_is_refused() -> None:
    with pytest.raises(UsageError, match=r"gym:n_queens has answers that are not numbers.*execution\.known_tasks"):
        known_tasks("gym:n_queens", 2)
    with pytest.raises(UsageError, match=r"gsm8k makes no tasks.*gym:small"):
        known_tasks("gsm8k", 2)
    assert is_benchmark("gym:anything")
    assert not is_benchmark("known.jsonl")


def test_every_family_of_the_package_has_a_benchmark_of_its_name() -> None:
    from reasoning_gym.factory import DATASETS

    assert set(DATASETS) - set(families()) == {"composite"}  # made of others, which it wants to be told
    for family in families():
        entry = benchmark(f"gym:{family}")
        assert (entry.dataset.rows, entry.breakdowns) == (entry.per_group, ("family",))


def test_an_unknown_family_names_the_nearest_ones() -> None:
    with pytest.raises(UsageError, match=r"no family 'chain_sums'; did you mean gym:chain_sum"):
        benchmark("gym:chain_sums")
    with pytest.raises(UsageError, match=r"no family 'qqqq'; `agent0 benchmarks list --gym`"):
        benchmark("gym:qqqq")


def test_a_family_that_has_too_few_questions_is_a_sentence() -> None:
    with pytest.raises(BenchmarkError, match=r"gym:coin_flip has \d+ different questions.*questions_per_level"):
        benchmark("gym:coin_flip").generate(2000)  # type: ignore[misc]
    with pytest.raises(BenchmarkError, match=r"gym:composite cannot be made by reasoning-gym"):
        make([Order("composite", 0, 1, probes=False)])


@pytest.mark.parametrize("command", [["benchmarks", "show", "gym:small"], ["benchmarks", "list", "--gym"]])
def test_without_the_package_one_sentence_names_the_extra(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "reasoning_gym" else find(name))
    families.cache_clear()
    categories.cache_clear()
    failed = CliRunner().invoke(app, command)
    assert isinstance(failed.exception, UsageError)
    assert "pip install 'agent0[gym]'" in str(failed.exception)
    listed = CliRunner().invoke(app, ["benchmarks", "list"])
    assert "need pip install 'agent0[gym]'" in listed.output


def test_the_command_line_says_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    listed = CliRunner().invoke(app, ["benchmarks", "list"]).output
    assert "gym:small" in listed
    assert f"{len(families())} families of reasoning-gym are benchmarks: agent0 benchmarks list --gym" in listed
    every = CliRunner().invoke(app, ["benchmarks", "list", "--gym"]).output
    assert all(f"gym:{family} " in every for family in families())
    shown = CliRunner().invoke(app, ["benchmarks", "show", "gym:chain_sum"]).output
    assert "reasoning-gym 0.1.25 from seed 20251116" in shown
    assert "40 of each family" in shown


def test_nothing_of_the_package_is_imported_before_it_is_asked_for() -> None:
    program = (
        "import sys, agent0.cli.main\n"
        "from agent0.benchmarks.catalogue import benchmark\n"
        "benchmark('gym:small')\n"
        "print('reasoning_gym' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_vote_takes_a_number_in_any_spelling_and_keeps_letters_in_order() -> None:
    vote = spelling_vote(["ab", None, "12", "$12.0$", "ba"])
    assert (vote.answer, vote.count, vote.k, vote.clusters) == ("12", 2, 5, 3)


def test_names_are_safe_in_files() -> None:
    assert file_name("gym:small") == "gym-small"
    assert file_name("gsm8k") == "gsm8k"


@contextmanager
def answering(assignments: tuple[Assignment, ...], tokenizer: Any) -> Iterator[Backend]:
    """A model that knows every second question."""
    questions = [question.item for assignment in assignments for question in assignment.questions]
    known = {item.question: item.gold for item in questions[::2]}

    def write(text: str) -> str:
        asked = max((q.question for q in questions if q.question in text), key=len)
        return f"\\boxed{{{known.get(asked, 'no idea')}}}"

    yield ScriptedBackend(tokenizer, write, 4)


def test_an_evaluation_asks_as_the_agents_are_trained_and_records_where_its_questions_come_from(
    tokenizer: Any, tmp_path: Path
) -> None:
    settings = EvaluationSettings(
        benchmarks=("gym:small", "tiny", "gym:gcd"),
        questions_per_level=2,
        samples=2,
        logs=True,
        tool=False,
        sampling=SamplingSettings(temperature=0.7),
    )
    assignments = prepare(settings, ROLLOUT, tokenizer, 0)
    small = assignments[0]
    question = small.questions[0]
    assert list(question.messages) == list(
        get_prompts(ROLLOUT.model_copy(update={"max_turns": 0})).solve(question.item.question)
    )
    assert (small.samples, small.budget.response, small.sampling.temperature) == (2, 64, 0.7)
    generated = {"generator": "reasoning-gym 0.1.25", "seed": 20251116, "per_group": 2}
    assert small.fingerprint()["generated"] == generated
    [other] = prepare(
        settings.model_copy(update={"benchmarks": ("gym:gcd",), "questions_per_level": 3}), ROLLOUT, tokenizer, 0
    )
    assert other.fingerprint() != assignments[2].fingerprint()

    stores = open_stores(assignments, tmp_path, "digest", ROLLOUT, SandboxSettings())
    run_assignments(
        assignments,
        stores,
        lambda *_: answering(assignments, tokenizer),
        tokenizer,
        NoSandbox(),
        ROLLOUT,
        lambda *_: None,
    )
    judged = judge(assignments, stores)
    assert [score.mean_at_k.mean for _, score, _ in judged] == [0.5, 0.5, 0.5]
    report = conclude(judged, Subject("m", "m", "digest"), settings, ROLLOUT, 0, 0.0, tmp_path)
    score = read_report(str(tmp_path)).benchmarks[0]
    assert score.generated is not None
    assert score.generated.model_dump() == generated
    assert "right only at its score 1.0" in score.rule
    assert set(score.groups["family"]) == set(SETS["small"])
    assert score.maj_at_k is not None
    assert score.maj_at_k.mean == 0.5
    assert len(read_questions(str(tmp_path), score)) == 16
    assert report.benchmarks[0] == score
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_dir()) == [
        "gym-gcd",
        "gym-small",
        "logs",
        "questions",
        "tiny",
    ]
    assert not [path for path in tmp_path.rglob("*") if ":" in path.name]
    assert list(executor_scores(judged[:1]).levels) == list(SETS["small"])
    assert list(executor_scores(judged).levels) == ["gym:small", "tiny", "gym:gcd"]
