from __future__ import annotations

import random
import re
from typing import Any

from agent0.answers import extract_answer
from agent0.config import TinyPretraining
from agent0.domains.arithmetic_grammar import ArithmeticWorld, expression_of
from agent0.protocol import parse_question
from agent0.segments import segments
from agent0.tiny.pretrain import IGNORED, _prompt, _rate, cache_directory, encode
from agent0.tiny.transcripts import draw_transcript

SETTINGS = TinyPretraining()


def transcripts(count: int) -> list[Any]:
    rng = random.Random(1)
    return [draw_transcript(rng, SETTINGS) for _ in range(count)]


def test_roles_and_tool_use_have_the_configured_shares() -> None:
    drawn = transcripts(4000)
    proposals = [t for t in drawn if t.messages[0]["content"] == "propose"]
    solutions = [t for t in drawn if t.messages[0]["content"] != "propose"]
    assert abs(len(proposals) / len(drawn) - SETTINGS.propose_share) < 0.03
    assert abs(sum(len(t.segments) > 1 for t in solutions) / len(solutions) - (1 - SETTINGS.direct_share)) < 0.03
    assert abs(sum(len(t.segments) > 1 for t in proposals) / len(proposals) - SETTINGS.propose_tool_share) < 0.05


def test_transcripts_state_true_answers_and_never_reserved_questions() -> None:
    world = ArithmeticWorld()
    for transcript in transcripts(500):
        asked = transcript.messages[0]["content"].removeprefix("solve ")
        question = parse_question(transcript.completion) if asked == "propose" else asked
        assert question is not None
        assert not world.held_out(question)
        if "\\boxed" in transcript.completion:
            assert extract_answer(transcript.completion) == world.known_answer(question)


def test_a_transcript_ends_and_calls_as_a_trajectory_does() -> None:
    for transcript in transcripts(500):
        asks = transcript.messages[0]["content"] == "propose"
        assert transcript.completion.endswith("</question>" if asks else "}")
        if len(transcript.segments) > 1:
            kinds = [s.kind for s in segments(transcript.completion) if s.text.strip()]
            assert kinds == ["program", "output", "prose"]
            assert [segment.learned for segment in transcript.segments] == [True, False, True]


def test_prompts_and_observations_are_not_learned(tokenizer: Any) -> None:
    drawn = transcripts(100)
    for transcript, (ids, labels) in zip(drawn, encode(drawn, tokenizer), strict=True):
        assert len(ids) == len(labels)
        learned = tokenizer.decode([label for label in labels if label != IGNORED])
        expected = "".join(segment.text for segment in transcript.segments if segment.learned)
        assert learned == expected + tokenizer.eos_token


def test_the_prompt_is_what_the_chat_template_renders(tokenizer: Any) -> None:
    for transcript in transcripts(20):
        rendered = tokenizer.apply_chat_template(list(transcript.messages), add_generation_prompt=True, tokenize=False)
        assert rendered == _prompt(transcript)


def test_fences_and_two_digit_numbers_are_single_tokens(tokenizer: Any) -> None:
    for text in ("```python\n", "```output\n", "47"):
        assert len(tokenizer(text).input_ids) == 1


def test_the_learning_rate_warms_up_and_decays() -> None:
    rates = [_rate(step, 600) for step in range(600)]
    assert rates[0] < 0.05
    assert max(rates) == rates[200] == 1.0
    assert rates[-1] < 0.06


def test_other_settings_have_another_cache() -> None:
    assert cache_directory(SETTINGS) != cache_directory(TinyPretraining(seed=1))
    assert cache_directory(SETTINGS) == cache_directory(TinyPretraining())


def test_a_proposal_that_is_asked_for_by_topic_keeps_to_it_and_without_a_share_none_is() -> None:
    settings = SETTINGS.model_copy(update={"topic_share": 0.5, "propose_share": 0.5})
    rng = random.Random(3)
    drawn = [draw_transcript(rng, settings) for _ in range(1000)]
    asked = [t for t in drawn if t.messages[0]["content"].startswith("propose ")]
    assert 200 < len(asked) < 300
    for transcript in asked:
        expression = expression_of(parse_question(transcript.completion) or "")
        assert expression is not None
        operands, digits = map(int, transcript.messages[0]["content"].removeprefix("propose ").split("x"))
        numbers = re.findall("[0-9]+", expression)
        assert len(numbers) == operands
        assert max(map(len, numbers)) <= digits
    assert not [t for t in transcripts(1000) if t.messages[0]["content"].startswith("propose ")]
