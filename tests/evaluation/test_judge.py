from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_endpoint import Endpoint, reply, serving

from agent0.chat_client import EndpointError
from agent0.evaluation.judge_client import (
    JUDGE_FILE,
    SYSTEM,
    Claim,
    JudgeSettings,
    judge_claims,
    judge_messages,
    read_verdict,
)

EXACT_PROMPT = """<question>
What is one half?
</question>

<reference_answer>
\\frac{1}{2}
</reference_answer>

<given_answer>
0.5
</given_answer>"""


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with serving() as served:
        yield served


def settings(endpoint: Endpoint, **changes: Any) -> JudgeSettings:
    return JudgeSettings(url=endpoint.url, model="judge-1", deadline_seconds=5, **changes)


def claim(number: int, given: str | None = "0.5", *, correct: bool = False) -> Claim:
    return Claim(f"q{number}", 0, f"What is question {number}?", "\\frac{1}{2}", given, correct)


def test_the_prompt_names_reference_and_answer_for_what_they_are() -> None:
    assert judge_messages("What is one half?", "\\frac{1}{2}", "0.5") == [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": EXACT_PROMPT},
    ]


def test_texts_that_look_like_places_are_not_filled() -> None:
    user = judge_messages("a {reference} b {given}", "R", "{question}")[1]["content"]
    assert "a {reference} b {given}" in user
    assert "<given_answer>\n{question}\n</given_answer>" in user


def test_a_megabyte_of_answer_is_cut() -> None:
    assert len(judge_messages("q", "r", "x" * 1_000_000)[1]["content"]) < 5000


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("CORRECT", True),
        ("INCORRECT", False),
        ("It is not INCORRECT as such.\n**CORRECT**", True),
        ("At first CORRECT, but no:\nINCORRECT.", False),
        ("correct", None),
        ("Yes", None),
        ("", None),
    ],
)
def test_the_last_verdict_of_a_reply_counts(text: str, verdict: bool | None) -> None:
    assert read_verdict(text) is verdict


def test_the_request_decodes_greedily_and_carries_the_key(
    endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT0_JUDGE_KEY", "opaque")
    judge_claims([Claim("q", 0, "What is one half?", "\\frac{1}{2}", "0.5", False)], settings(endpoint), tmp_path)
    request = endpoint.requests[0]
    assert request.pop("messages")[1]["content"] == EXACT_PROMPT
    assert request == {"model": "judge-1", "temperature": 0, "top_p": 1, "n": 1, "seed": 0, "max_tokens": 1024}
    assert endpoint.headers[0]["Authorization"] == "Bearer opaque"


def test_both_verdicts_are_kept_and_may_differ_both_ways(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.answer = lambda body: (
        200,
        reply("INCORRECT" if "question 2" in body["messages"][1]["content"] else "CORRECT"),
    )
    judged = judge_claims([claim(1), claim(2, correct=True), claim(3, None)], settings(endpoint), tmp_path)
    assert [(j.id, j.correct, j.judged) for j in judged] == [
        ("q1", False, True),
        ("q2", True, False),
        ("q3", False, False),
    ]
    assert len(endpoint.requests) == 2, "a missing answer is wrong without asking"


def test_a_reply_without_a_verdict_is_told_apart_from_a_wrong_answer(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.answer = lambda body: (200, reply("I would rather not say."))
    (judgement,) = judge_claims([claim(1)], settings(endpoint), tmp_path)
    assert judgement.judged is None
    assert judgement.reply == "I would rather not say."


def test_a_busy_judge_is_asked_again(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.answer = lambda body: (429, "slow down") if len(endpoint.requests) < 2 else (200, reply("CORRECT"))
    assert judge_claims([claim(1)], settings(endpoint), tmp_path)[0].judged is True
    assert len(endpoint.requests) == 2


def test_an_unreachable_judge_is_an_error_within_its_deadline(endpoint: Endpoint, tmp_path: Path) -> None:
    gone = JudgeSettings(url="http://127.0.0.1:9/v1", model="judge-1", deadline_seconds=0.6)
    started = time.monotonic()
    with pytest.raises(EndpointError, match=r"gave no reply within 0\.6 s .* run the same command again"):
        judge_claims([claim(1)], gone, tmp_path)
    assert time.monotonic() - started < 5


def test_a_judge_that_hangs_is_an_error_within_its_deadline(endpoint: Endpoint, tmp_path: Path) -> None:
    def hang(body: dict[str, Any]) -> tuple[int, Any]:
        time.sleep(2)
        return 200, reply("CORRECT")

    endpoint.answer = hang
    slow = JudgeSettings(url=endpoint.url, model="judge-1", deadline_seconds=0.5)
    with pytest.raises(EndpointError, match="no answer in time"):
        judge_claims([claim(1)], slow, tmp_path)


def test_finished_verdicts_survive_a_failure_and_are_not_asked_for_again(endpoint: Endpoint, tmp_path: Path) -> None:
    claims = [claim(number) for number in range(6)]
    endpoint.answer = lambda body: (200, reply("CORRECT")) if len(endpoint.requests) <= 3 else (401, "key expired")
    with pytest.raises(EndpointError, match="refused with 401: key expired"):
        judge_claims(claims, settings(endpoint, concurrency=1), tmp_path)
    assert len((tmp_path / JUDGE_FILE).read_text().splitlines()) == 3
    before = len(endpoint.requests)
    endpoint.answer = lambda body: (200, reply("CORRECT"))
    judged = judge_claims(claims, settings(endpoint), tmp_path)
    assert [j.judged for j in judged] == [True] * 6
    assert len(endpoint.requests) - before == 3


def test_a_line_that_a_kill_cut_short_is_asked_for_again(endpoint: Endpoint, tmp_path: Path) -> None:
    judge_claims([claim(1), claim(2)], settings(endpoint, concurrency=1), tmp_path)
    path = tmp_path / JUDGE_FILE
    path.write_text(path.read_text()[:-20])
    assert len(judge_claims([claim(1), claim(2)], settings(endpoint), tmp_path)) == 2
    assert len(endpoint.requests) == 3
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_another_judge_is_asked_anew(endpoint: Endpoint, tmp_path: Path) -> None:
    judge_claims([claim(1)], settings(endpoint), tmp_path)
    judge_claims([claim(1)], JudgeSettings(url=endpoint.url, model="judge-2"), tmp_path)
    assert [request["model"] for request in endpoint.requests] == ["judge-1", "judge-2"]


@pytest.mark.parametrize("sent", ["no json", {"choices": []}, {"error": "x"}, [1]])
def test_an_answer_that_is_no_completion_is_an_error(endpoint: Endpoint, tmp_path: Path, sent: Any) -> None:
    endpoint.answer = lambda body: (200, sent)
    with pytest.raises(EndpointError, match="sent no chat completion"):
        judge_claims([claim(1)], settings(endpoint), tmp_path)


def test_without_an_address_there_is_no_judge(tmp_path: Path) -> None:
    with pytest.raises(EndpointError, match="needs an address and a model"):
        judge_claims([claim(1)], JudgeSettings(), tmp_path)
