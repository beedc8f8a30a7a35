from __future__ import annotations

import pytest
from typer.testing import CliRunner

from agent0.benchmarks.catalogue import BENCHMARKS, benchmark
from agent0.benchmarks.spec import BenchmarkError, Item, Prompt
from agent0.cli.main import app

ITEM = Item("What of {options}?", "B", ("x", "{question}"), {"category": "law"}, "Think. The answer is (B).")


def test_braces_in_a_question_stay_what_they_are() -> None:
    [message] = Prompt("{question}\n{options}").messages(ITEM)
    assert message == {"role": "user", "content": "What of {options}?\n(A): x\n(B): {question}"}


def test_the_official_mmlu_pro_prompt_shows_five_examples_of_the_category() -> None:
    prompt = benchmark("mmlu_pro").protocols["official"].prompt
    [message] = prompt.messages(ITEM, [ITEM] * 7)
    assert "about law." in message["content"]
    assert message["content"].count("Answer: Think. The answer is (B).\n\n") == 5
    assert message["content"].endswith("A. x\nB. {question}\nAnswer: Let's think step by step.")


def test_missing_examples_are_an_error_unless_fewer_are_wanted() -> None:
    prompt = benchmark("gsm8k").protocols["official"].prompt
    with pytest.raises(BenchmarkError, match="shows 5 worked examples; 1 were given"):
        prompt.messages(ITEM, [ITEM])
    assert prompt.messages(ITEM, [ITEM], fewer=True)[0]["content"].count("Question:") == 2


def test_every_protocol_can_be_given_the_tool() -> None:
    for entry in BENCHMARKS:
        for protocol in entry.protocols.values():
            tooled = protocol.with_tool()
            assert "```python" in tooled.prompt.messages(ITEM, [ITEM] * 5)[0]["content"]
            assert (tooled.decoding.max_turns, protocol.decoding.max_turns) == (4, 1)
            assert tooled.rule == protocol.rule


def test_the_paper_samples_amc_and_aime_32_times_and_is_greedy_elsewhere() -> None:
    sampled = {entry.name for entry in BENCHMARKS if entry.protocols["paper"].decoding.samples == 32}
    assert sampled == {"aime_2024", "aime_2025", "amc_2023"}
    for entry in BENCHMARKS:
        decoding = entry.protocols["paper"].decoding
        assert decoding.samples == 1 or decoding.temperature > 0


def test_the_command_line_shows_what_a_number_rests_on() -> None:
    listed = CliRunner().invoke(app, ["benchmarks", "list"])
    assert all(entry.name in listed.output for entry in BENCHMARKS)
    shown = CliRunner().invoke(app, ["benchmarks", "show", "bbeh"])
    assert "harmonic mean over tasks" in shown.output
    assert "unknown; the manifest of a fetch pins it" in shown.output
    assert CliRunner().invoke(app, ["benchmarks", "show", "tiny"]).exit_code == 0
