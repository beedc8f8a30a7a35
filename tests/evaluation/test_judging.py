from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent0.chat_client import EndpointError
from agent0.cli.main import app
from agent0.errors import UsageError
from agent0.evaluation.judge_client import JUDGE_FILE, JudgeSettings
from agent0.evaluation.judge_record import JUDGED_FOLDER, judge_run
from agent0.evaluation.registered_evaluations import of_a_record
from agent0.evaluation.results import (
    BenchmarkScore,
    DecodingRecord,
    Estimate,
    EvaluationReport,
    QuestionScore,
    ResultsError,
    questions_file,
    read_questions,
    read_report,
    write_results,
)
from agent0.evaluation.sample_store import SampleRecord, SampleStore
from agent0.storage.digest import folder_digest


@pytest.fixture
def lenient() -> Iterator[str]:
    """Address of a judge that finds the answer `50 percent` right, and nothing else."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"][1]["content"]
            right = "<given_answer>\n50 percent\n</given_answer>" in asked
            body = {"choices": [{"message": {"content": "CORRECT" if right else "INCORRECT"}}]}
            payload = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """An evaluation of one question and three samples: right by the rule, right to a person only, no answer."""
    rows = tmp_path / "rows"
    rows.mkdir()
    row = {"problem": "What is one half?", "answer": "\\frac{1}{2}", "unique_id": "m1", "solution": "s"}
    (rows / "math_500.jsonl").write_text(json.dumps({**row, "subject": "Algebra", "level": 1}) + "\n")
    folder = tmp_path / "run"
    with SampleStore(folder / "math_500", {}) as store:
        texts = ["\\boxed{\\frac{1}{2}}", "\\boxed{50 percent}", "I do not know."]
        store.add(
            [
                SampleRecord(item="m1", sample=i, seed=i, text=text, finish="eos", prompt_tokens=9, drawn_tokens=9)
                for i, text in enumerate(texts)
            ]
        )
    third = Estimate(mean=1 / 3, low=0, high=1)
    score = BenchmarkScore(
        benchmark="math_500",
        rule="the last box",
        questions=1,
        published=500,
        samples=3,
        decoding=DecodingRecord(max_tokens=64, temperature=0.6, top_p=0.95, top_k=-1),
        score=third,
        mean_at_k=third,
        questions_file=questions_file("math_500"),
    )
    report = EvaluationReport(
        name="a", model="m", preset="paper", tool=False, seed=0, code_version="0", started_at=1, finished_at=2,
        benchmarks=(score,),
    )  # fmt: skip
    write_results(folder, report, {"math_500": [QuestionScore(id="m1", correct=(True, False, False))]})
    return folder


def test_both_verdicts_stand_in_a_record_beside_the_one_that_a_registry_vouches_for(run: Path, lenient: str) -> None:
    before = folder_digest(run, of_a_record)
    judged = judge_run(run, JudgeSettings(url=lenient, model="judge-1"), source=str(run.parent / "rows"))
    assert folder_digest(run, of_a_record) == before
    assert read_report(str(run / JUDGED_FOLDER)) == judged
    (score,) = judged.benchmarks
    assert score.judged is not None
    assert score.score.mean == pytest.approx(1 / 3), "the rule's score stays"
    assert (score.judge, score.judged.mean) == ("judge-1", pytest.approx(1 / 3))
    question = read_questions(str(run / JUDGED_FOLDER), score)["m1"]
    assert question.correct == (True, False, False)
    assert question.judged == (False, True, False), "a judge may move a verdict both ways"


def test_the_command_prints_both_scores(run: Path, lenient: str) -> None:
    rows = str(run.parent / "rows")
    done = CliRunner().invoke(app, ["judge", str(run), "--url", lenient, "--model", "judge-1", "--data", rows])
    assert done.exit_code == 0, done.output
    assert "math_500: 33.3 by rule, 33.3 by judge-1" in done.output
    assert f"record  {run}/judged/evaluation.json" in done.output


def test_a_judge_that_fails_leaves_the_record_and_the_samples_as_they_were(run: Path) -> None:
    files = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    gone = JudgeSettings(url="http://127.0.0.1:9/v1", model="judge-1", deadline_seconds=0.2)
    with pytest.raises(EndpointError):
        judge_run(run, gone, source=str(run.parent / "rows"))
    after = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != JUDGE_FILE}
    assert after == files


def test_other_rows_and_other_benchmarks_are_refused(run: Path, lenient: str) -> None:
    rows, settings = run.parent / "rows", JudgeSettings(url=lenient, model="judge-1")
    with pytest.raises(UsageError, match="has no gsm8k; it has math_500"):
        judge_run(run, settings, ["gsm8k"], str(rows))
    (rows / "math_500.jsonl").write_text((rows / "math_500.jsonl").read_text().replace('"m1"', '"m2"'))
    with pytest.raises(ResultsError, match="is not in the benchmark's rows"):
        judge_run(run, settings, source=str(rows))
