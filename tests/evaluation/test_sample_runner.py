from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from agent0.benchmarks.catalogue import BENCHMARKS, benchmark
from agent0.benchmarks.spec import PRESETS, Preset
from agent0.cli.invalid_samples import invalid_text
from agent0.config import EvaluationSettings, RolloutSettings, SamplingSettings, SandboxSettings
from agent0.errors import Agent0Error, UsageError
from agent0.evaluation.assignments import Assignment, check_room, prepare
from agent0.evaluation.conclusion import Subject, conclude, judge
from agent0.evaluation.executor_scores import executor_scores
from agent0.evaluation.results import read_questions, read_report
from agent0.evaluation.sample_runner import OpenBackend, open_stores, run_assignments
from agent0.evaluation.sample_store import SAMPLES_FILE, SampleRecord, SampleStore, read_samples
from agent0.evaluation.scorecard import invalid_samples, response_of
from agent0.rollout.engine import Backend
from agent0.rollout.scripted import ScriptedBackend
from agent0.sandbox.stage_sandbox import NoSandbox
from agent0.seeds import derive_seed

PUBLISHED = tuple(entry.name for entry in BENCHMARKS if entry.generate is None)
ROLLOUT = RolloutSettings(batch_size=5, max_turns=2, max_observation_tokens=64)
SANDBOX = SandboxSettings()
PROGRAM = "```python\nprint(6 * 7)\n```\n"


def settings_for(data: Path, *names: str, **fields: Any) -> EvaluationSettings:
    return EvaluationSettings.model_validate(
        {"benchmarks": names, "data": str(data), "sampled_rows": True, "tool": False, "logs": False} | fields
    )


def opener(tokenizer: Any, write: Callable[[str], str], concurrency: int | None = 4) -> OpenBackend:
    @contextmanager
    def opened(rollout: RolloutSettings, sampling: SamplingSettings) -> Iterator[Backend]:
        yield ScriptedBackend(tokenizer, write, concurrency)

    return opened


def nothing(assignment: Assignment, done: int) -> None:
    """Shows no progress."""


def run(
    assignments: Sequence[Assignment], folder: Path, tokenizer: Any, opened: OpenBackend, tool: Any = None
) -> dict[str, SampleStore]:
    stores = open_stores(assignments, folder, "digest", ROLLOUT, SANDBOX)
    run_assignments(assignments, stores, opened, tokenizer, tool or NoSandbox(), ROLLOUT, nothing)
    return stores


def echoing(assignments: Sequence[Assignment], preset: Preset) -> Callable[[str], str]:
    """Answers the question that stands last in the prompt, in the form that the preset asks for."""
    answers = {q.item.question: a.benchmark.echo[preset](q.item) for a in assignments for q in a.questions}

    def write(text: str) -> str:
        return answers[max(answers, key=text.rfind)]

    return write


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", PUBLISHED)
def test_every_benchmark_runs_and_accepts_echoed_golds(
    name: str, preset: Preset, made_up_rows: Path, tokenizer: Any, tmp_path: Path
) -> None:
    settings = settings_for(made_up_rows, name, preset=preset, published_samples=2)
    assignments = prepare(settings, ROLLOUT, tokenizer, 0)
    stores = run(assignments, tmp_path, tokenizer, opener(tokenizer, echoing(assignments, preset)))
    [(_, score, _)] = judge(assignments, stores)
    assert score.mean_at_k.mean == 1.0
    assert (score.questions, score.samples, set(score.pass_at_k)) == (6, 2, {1, 2})
    assert score.rates["invalid"].mean == score.rates["truncated"].mean == 0.0
    assert score.cost.completion_tokens > 0


def test_samples_hold_their_question_and_invalid_ones_are_told_with_it(
    made_up_rows: Path, tokenizer: Any, tmp_path: Path
) -> None:
    assignments = prepare(settings_for(made_up_rows, "gsm8k", published_samples=2), ROLLOUT, tokenizer, 0)
    right = echoing(assignments, "paper")
    first = assignments[0].questions[0].item.question
    stores = run(assignments, tmp_path, tokenizer, opener(tokenizer, lambda p: right(p) if first in p else "No idea."))
    asked = {question.item.id: question.item.question for question in assignments[0].questions}
    assert {record.item: record.question for record in read_samples(tmp_path / "gsm8k")} == asked
    [(_, score, outcomes)] = judge(assignments, stores)
    assert score.rates["invalid"].mean == 5 / 6
    invalid = invalid_samples(outcomes, 3)
    assert len({record.item for record in invalid}) == 3
    assert not any(record.question == first for record in invalid)
    told = invalid_text("gsm8k", invalid)
    assert told.count("wrote  No idea.   (eos)") == 3
    assert all(record.question[-20:] in told for record in invalid)


@pytest.mark.parametrize("concurrency", [None, 3])
def test_an_interrupted_run_goes_on_and_ends_as_if_nothing_had_happened(
    concurrency: int | None, made_up_rows: Path, tokenizer: Any, tmp_path: Path
) -> None:
    settings = settings_for(made_up_rows, "gsm8k", "math_500", published_samples=2)
    assignments = prepare(settings, ROLLOUT, tokenizer, 0)
    write = echoing(assignments, "paper")
    whole = run(assignments, tmp_path / "whole", tokenizer, opener(tokenizer, write, concurrency))
    asked: list[str] = []

    def failing(text: str) -> str:
        asked.append(text)
        if len(asked) > 17:
            raise Agent0Error("the machine is gone")
        return write(text)

    with pytest.raises(Agent0Error, match="the machine is gone"):
        run(assignments, tmp_path / "broken", tokenizer, opener(tokenizer, failing, concurrency))
    kept = open_stores(assignments, tmp_path / "broken", "digest", ROLLOUT, SANDBOX)
    finished = sum(len(store.records) for store in kept.values())
    assert finished >= 12  # all of the first benchmark
    asked.clear()

    def counting(text: str) -> str:
        asked.append(text)
        return write(text)

    resumed = run(assignments, tmp_path / "broken", tokenizer, opener(tokenizer, counting, concurrency))
    assert len(asked) == 24 - finished
    for name, store in whole.items():
        for key, record in store.records.items():
            again = resumed[name].records[key]
            assert (again.text, again.seed, again.finish) == (record.text, record.seed, record.finish)
    assert {record.attempt for record in resumed["math_500"].records.values()} <= {0, 1}


def test_a_line_that_a_crash_cut_off_is_drawn_again(made_up_rows: Path, tokenizer: Any, tmp_path: Path) -> None:
    assignments = prepare(settings_for(made_up_rows, "gsm8k"), ROLLOUT, tokenizer, 0)
    opened = opener(tokenizer, echoing(assignments, "paper"))
    run(assignments, tmp_path, tokenizer, opened)
    path = tmp_path / "gsm8k" / SAMPLES_FILE
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    assert len(open_stores(assignments, tmp_path, "digest", ROLLOUT, SANDBOX)["gsm8k"].records) == 5
    stores = run(assignments, tmp_path, tokenizer, opened)
    assert len(stores["gsm8k"].records) == 6
    assert path.read_bytes().count(b"\n") == 6


def test_a_damaged_line_is_named(made_up_rows: Path, tokenizer: Any, tmp_path: Path) -> None:
    assignments = prepare(settings_for(made_up_rows, "gsm8k"), ROLLOUT, tokenizer, 0)
    run(assignments, tmp_path, tokenizer, opener(tokenizer, echoing(assignments, "paper")))
    path = tmp_path / "gsm8k" / SAMPLES_FILE
    path.write_text("{}\n" + path.read_text())
    with pytest.raises(UsageError, match=r"Line 1 of .* is no finished sample"):
        open_stores(assignments, tmp_path, "digest", ROLLOUT, SANDBOX)


def test_the_record_names_the_revision_that_was_read(made_up_rows: Path, tokenizer: Any, tmp_path: Path) -> None:
    [assignment] = prepare(settings_for(made_up_rows, "gsm8k"), ROLLOUT, tokenizer, 0)
    assert assignment.benchmark.dataset.revision
    for number, revision in enumerate((None, "c0ffee")):
        read = [replace(assignment, revision=revision)]
        stores = run(read, tmp_path / str(number), tokenizer, opener(tokenizer, echoing(read, "paper")))
        [(_, score, _)] = judge(read, stores)
        assert score.dataset_revision == revision


def test_programs_run_and_the_log_shows_turns_and_calls(
    made_up_rows: Path, tokenizer: Any, sandbox: Any, tmp_path: Path
) -> None:
    log = pytest.importorskip("inspect_ai.log")
    settings = settings_for(made_up_rows, "gsm8k", tool=True, logs=True, published_samples=2)
    assignments = prepare(settings, ROLLOUT, tokenizer, 0)
    opened = opener(tokenizer, lambda text: "It is \\boxed{42}" if "42\n```" in text else PROGRAM)
    stores = run(assignments, tmp_path, tokenizer, opened, sandbox)
    subject = Subject("scripted", "nowhere", "digest")
    conclude(judge(assignments, stores), subject, settings, ROLLOUT, 0, 0.0, tmp_path)
    read = log.read_eval_log(str(tmp_path / "logs" / "gsm8k.eval"))
    assert read.status == "success"
    assert len(read.samples) == 12
    sample = read.samples[0]
    assert [event.event for event in sample.events] == ["model", "tool", "model"]
    assert sample.events[1].arguments == {"code": "print(6 * 7)\n"}
    assert sample.events[1].result == "42\n"
    assert [message.role for message in sample.messages] == ["system", "user", "assistant", "tool", "assistant"]
    assert sample.scores["rule"].value == "I"
    assert sample.scores["rule"].answer == "42"
    assert {s.epoch for s in read.samples} == {1, 2}


@pytest.mark.parametrize(
    ("preset", "printed", "answered", "right"),
    [
        ("paper", "\\boxed{42}", "I do not know.", False),
        ("paper", "\\boxed{7}", "It is \\boxed{42}", True),
        ("official", "#### 42", "I do not know.", False),
        ("official", "Question:", "It is\n#### 42", True),
    ],
)
def test_an_answer_is_read_from_what_the_model_wrote_and_not_from_what_its_program_printed(
    preset: Preset, printed: str, answered: str, right: bool, tokenizer: Any, sandbox: Any, tmp_path: Path
) -> None:
    row = {"question": "Which?", "answer": "so\n#### 42"}
    (tmp_path / "gsm8k.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "gsm8k.shots.jsonl").write_text((json.dumps({**row, "answer": "so\n#### 1"}) + "\n") * 5)
    [assignment] = prepare(settings_for(tmp_path, "gsm8k", preset=preset, tool=True), ROLLOUT, tokenizer, 0)
    program = f"```python\nprint({printed[:3]!r} + {printed[3:]!r})\n```\n"
    opened = opener(tokenizer, lambda text: answered if f"{printed}\n```" in text else program)
    stores = run([assignment], tmp_path / "out", tokenizer, opened, sandbox)
    [record] = stores["gsm8k"].records.values()
    assert record.tool_calls[0].observation == f"{printed}\n"
    assert printed in record.text
    assert response_of(assignment.protocol, record) == f"{program}\n{answered}"
    [(_, score, _)] = judge([assignment], stores)
    assert score.score.mean == float(right)


@pytest.mark.parametrize(("stop", "read"), [((), "One.\nQuestion: 2"), (("Question:",), "One.\n")])
def test_a_response_without_a_tool_call_is_read_as_it_is(stop: tuple[str, ...], read: str) -> None:
    protocol = benchmark("gsm8k").protocols["paper"]
    protocol = replace(protocol, decoding=replace(protocol.decoding, stop=stop))
    record = SampleRecord(
        item="q", sample=0, seed=0, text="One.\nQuestion: 2", finish="eos", prompt_tokens=1, drawn_tokens=1
    )
    assert response_of(protocol, record) == read


def test_inspect_ai_reads_every_field_of_the_logs(
    made_up_rows: Path, tokenizer: Any, sandbox: Any, tmp_path: Path
) -> None:
    log = pytest.importorskip("inspect_ai.log")
    settings = settings_for(made_up_rows, "gsm8k", "mmlu_pro", tool=True, logs=True, published_samples=2)
    assignments = prepare(settings, ROLLOUT, tokenizer, 0)
    long_answer = "7" * 3000
    opened = opener(tokenizer, lambda text: f"\\boxed{{{long_answer}}}" if "42\n```" in text else PROGRAM)
    stores = run(assignments, tmp_path, tokenizer, opened, sandbox)
    judged = judge(assignments, stores)
    conclude(judged, Subject("scripted", "nowhere", "digest"), settings, ROLLOUT, 0, 0.0, tmp_path)
    for assignment, _, outcomes in judged:
        path = str(tmp_path / "logs" / f"{assignment.benchmark.name}.eval")
        read = log.read_eval_log(path)
        records = {(r.item, r.sample + 1): r for outcome in outcomes for r in outcome.records}
        assert sorted((sample.id, sample.epoch) for sample in read.samples) == sorted(records)
        summaries = {(summary.id, summary.epoch): summary for summary in log.read_eval_log_sample_summaries(path)}
        for sample in read.samples:
            record = records[sample.id, sample.epoch]
            assert summaries[sample.id, sample.epoch] == sample.summary()
            written = json.loads(ZipFile(path).read(f"samples/{sample.id}_epoch_{sample.epoch}.json"))
            kept = log.read_eval_log_sample(path, sample.id, sample.epoch)
            understood = json.loads(kept.model_dump_json(exclude_none=True))
            for key in written.keys() - {"events", "events_data"}:
                assert understood[key] == written[key], key
            assert sample.output.completion == record.turns[-1]
            first, tool, last = sample.events
            assert first.input == sample.messages[:2]
            assert last.input == sample.messages[:4]
            assert (first.output.message, last.output.message) == (sample.messages[2], sample.messages[4])
            assert (tool.function, tool.metadata) == ("python", {"status": "ok"})
            assert last.config.seed == record.seed
            assert sample.model_usage["agent0/scripted"].output_tokens == record.drawn_tokens


def test_the_record_pairs_models_by_question(made_up_rows: Path, tokenizer: Any, tmp_path: Path) -> None:
    settings = settings_for(made_up_rows, "gsm8k", "bbeh", preset="official")
    assignments = prepare(settings, ROLLOUT, tokenizer, 0)
    write = echoing(assignments, "official")
    stores = run(assignments, tmp_path, tokenizer, opener(tokenizer, lambda text: write(text) if "11" in text else "?"))
    judged = judge(assignments, stores, gpus=2)
    conclude(judged, Subject("half", "nowhere", "digest", 2), settings, ROLLOUT, 0, 0.0, tmp_path)
    report = read_report(str(tmp_path))
    assert [score.benchmark for score in report.benchmarks] == ["gsm8k", "bbeh"]
    assert report.benchmarks[1].aggregation == "harmonic"
    assert report.benchmarks[1].score.mean < report.benchmarks[1].mean_at_k.mean
    assert report.benchmarks[0].cost.gpu_hours is not None
    questions = read_questions(str(tmp_path), report.benchmarks[1])
    assert {question.group for question in questions.values()} == {"linguini", "boolean"}
    scores = executor_scores(judged)
    assert list(scores.levels) == ["gsm8k", "bbeh"]
    assert scores.ci_low <= scores.accuracy <= scores.ci_high


def test_a_subset_is_stratified_and_keeps_its_seeds(made_up_rows: Path, tokenizer: Any) -> None:
    [whole] = prepare(settings_for(made_up_rows, "mmlu_pro"), ROLLOUT, tokenizer, 5)
    [subset] = prepare(settings_for(made_up_rows, "mmlu_pro", limit=4), ROLLOUT, tokenizer, 5)
    assert subset.is_subset
    assert (subset.stratum, subset.sizes, subset.published) == ("category", {"law": 3, "math": 3}, 6)
    assert [subset.stratum_of(question.item) for question in subset.questions].count("law") == 2
    seeds = {question.item.id: whole.seed_of(question, 0) for question in whole.questions}
    assert all(subset.seed_of(question, 0) == seeds[question.item.id] for question in subset.questions)
    [other] = prepare(settings_for(made_up_rows, "mmlu_pro", limit=4), ROLLOUT, tokenizer, 6)
    assert [q.item.id for q in other.questions] == [q.item.id for q in subset.questions]  # so that runs can be paired
    assert subset.detectable_difference() > whole.detectable_difference()


def test_a_subset_in_which_nothing_varies_has_an_interval(made_up_rows: Path, tokenizer: Any, tmp_path: Path) -> None:
    assignments = prepare(settings_for(made_up_rows, "mmlu_pro", limit=4), ROLLOUT, tokenizer, 0)
    stores = run(assignments, tmp_path, tokenizer, opener(tokenizer, lambda text: "I do not know"))
    [(_, score, _)] = judge(assignments, stores)
    assert score.score.mean == score.score.low == 0.0
    assert score.score.high > 0.2


def test_worked_examples_are_left_out_until_the_prompt_is_short_enough(
    made_up_rows: Path, tokenizer: Any, tmp_path: Path
) -> None:
    for path in made_up_rows.glob("mmlu_pro*"):
        shutil.copy(path, tmp_path)
    row = json.loads((tmp_path / "mmlu_pro.jsonl").read_text().splitlines()[0])
    long = {"question_id": 99, "question": "and " * 520 + "which?"}
    with (tmp_path / "mmlu_pro.jsonl").open("a") as file:
        file.writelines(json.dumps({**row, **more}) + "\n" for more in (long, {**long, "question": "and " * 3000}))
    [assignment] = prepare(settings_for(tmp_path, "mmlu_pro", preset="official"), ROLLOUT, tokenizer, 0)
    shown = [question.messages[0]["content"].count("The answer is (") for question in assignment.questions]
    lengths = [len(question.prompt) for question in assignment.questions]
    assert shown[:6] == [5] * 6
    assert 0 < shown[6] < 5
    assert shown[7] == 0
    assert max(lengths[:7]) < 2048 < lengths[7]


def test_a_harmonic_mean_needs_every_task(made_up_rows: Path, tokenizer: Any) -> None:
    with pytest.raises(UsageError, match="a question of every task"):
        prepare(settings_for(made_up_rows, "bbeh", limit=1, preset="official"), ROLLOUT, tokenizer, 0)


def test_a_stop_text_ends_a_response_without_truncating_it(made_up_rows: Path, tokenizer: Any, tmp_path: Path) -> None:
    assignments = prepare(settings_for(made_up_rows, "gsm8k", preset="official"), ROLLOUT, tokenizer, 0)
    assert assignments[0].budget.stop == "Question:"
    gold = {q.item.question: q.item.gold for q in assignments[0].questions}

    def write(text: str) -> str:
        return f"so\n#### {gold[max(gold, key=text.rfind)]}\n\nQuestion: next\n#### 99"

    stores = run(assignments, tmp_path, tokenizer, opener(tokenizer, write))
    [(_, score, _)] = judge(assignments, stores)
    assert score.score.mean == 1.0
    assert score.rates["truncated"].mean == 0.0


def test_the_model_is_opened_once_for_neighbours_with_the_same_decoding(
    made_up_rows: Path, tokenizer: Any, tmp_path: Path
) -> None:
    assignments = prepare(
        settings_for(made_up_rows, "gsm8k", "mmlu_pro", "amc_2023", published_samples=1), ROLLOUT, tokenizer, 0
    )
    budgets: list[tuple[float, int]] = []
    inner = opener(tokenizer, echoing(assignments, "paper"))

    def opened(rollout: RolloutSettings, sampling: SamplingSettings) -> AbstractContextManager[Backend]:
        budgets.append((sampling.temperature, rollout.max_response_tokens))
        return inner(rollout, sampling)

    run(assignments, tmp_path, tokenizer, opened)
    assert budgets == [(0.0, 8192), (0.6, 4096)]


def test_what_is_finished_opens_no_model(made_up_rows: Path, tokenizer: Any, tmp_path: Path) -> None:
    assignments = prepare(settings_for(made_up_rows, "gsm8k"), ROLLOUT, tokenizer, 0)
    run(assignments, tmp_path, tokenizer, opener(tokenizer, echoing(assignments, "paper")))

    def refuse(rollout: RolloutSettings, sampling: SamplingSettings) -> AbstractContextManager[Backend]:
        raise AssertionError("nothing is left to draw")

    assert len(run(assignments, tmp_path, tokenizer, refuse)["gsm8k"].records) == 6


def test_the_embedded_benchmark_keeps_the_seeds_of_training_runs(tokenizer: Any) -> None:
    settings = EvaluationSettings(questions_per_level=2, samples=3, logs=False)
    [assignment] = prepare(settings, ROLLOUT, tokenizer, 7)
    assert len(assignment.questions) == 10
    assert assignment.budget.response == ROLLOUT.max_response_tokens
    seeds = [assignment.seed_of(question, sample) for question in assignment.questions for sample in range(3)]
    assert seeds == [derive_seed(derive_seed(7, 0), number) for number in range(30)]


def test_bad_settings_are_sentences(made_up_rows: Path, tokenizer: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no benchmark 'gsm9k'"):
        prepare(settings_for(made_up_rows, "gsm8k", "gsm9k"), ROLLOUT, tokenizer, 0)
    with pytest.raises(UsageError, match="named twice"):
        prepare(settings_for(made_up_rows, "gsm8k", "gsm8k"), ROLLOUT, tokenizer, 0)
    with pytest.raises(Agent0Error, match=r"put gsm8k\.jsonl"):
        prepare(settings_for(tmp_path, "gsm8k"), ROLLOUT, tokenizer, 0)
    with pytest.raises(Agent0Error, match="has 6 rows where 1319 are published"):
        prepare(settings_for(made_up_rows, "gsm8k", sampled_rows=False), ROLLOUT, tokenizer, 0)


def test_what_a_model_cannot_hold_is_found_before_anything_is_drawn(made_up_rows: Path, tokenizer: Any) -> None:
    assignments = prepare(settings_for(made_up_rows, "gsm8k", "aime_2025", preset="official"), ROLLOUT, tokenizer, 0)
    with pytest.raises(UsageError, match=r"aime_2025 has prompts .* knows 32768 .*evaluation\.max_response_tokens"):
        check_room(assignments, 32_768)
    check_room(assignments, 40_960)
    check_room(assignments, None)


def test_samples_are_lines_that_a_script_can_read(made_up_rows: Path, tokenizer: Any, tmp_path: Path) -> None:
    assignments = prepare(settings_for(made_up_rows, "gsm8k"), ROLLOUT, tokenizer, 0)
    run(assignments, tmp_path, tokenizer, opener(tokenizer, echoing(assignments, "paper")))
    rows = [json.loads(line) for line in (tmp_path / "gsm8k" / SAMPLES_FILE).read_text().splitlines()]
    assert {row["item"] for row in rows} == {question.item.id for question in assignments[0].questions}
    assert all(row["drawn_tokens"] > 0 and row["finish"] == "eos" for row in rows)


@pytest.mark.parametrize(
    ("name", "file", "rows"),
    [
        ("gsm8k", "gsm8k_test_100.jsonl", 100),
        ("super_gpqa", "super_gpqa_120.jsonl", 120),
        ("bbeh_mini", "bbeh_mini_92.jsonl", 92),
    ],
)
def test_real_rows_run_through_with_a_limit(
    name: str, file: str, rows: int, real_rows: Path, tokenizer: Any, tmp_path: Path
) -> None:
    settings = settings_for(real_rows / file, name, limit=30)
    assignments = prepare(settings, ROLLOUT, tokenizer, 0)
    stores = run(assignments, tmp_path, tokenizer, opener(tokenizer, echoing(assignments, "paper")))
    [(assignment, score, _)] = judge(assignments, stores)
    assert (score.questions, score.published) == (30, rows)
    assert sum(assignment.sizes.values()) == rows
    assert score.score.mean == pytest.approx(1.0)


@pytest.mark.parametrize("content", [b"notes", b"caf\xe9", b'{"a": 1}', b'{"item":"a"}\nnotes', b"3\n", b"\xff\n"])
def test_what_is_no_sample_is_told_and_left_as_it_is(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="sample"):
        SampleStore(tmp_path, {})
    assert path.read_bytes() == content
