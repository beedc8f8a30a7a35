from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from agent0.config import WIRE, EvaluationSettings, GateSettings, ModelSettings, TrackingSettings
from agent0.errors import UsageError
from agent0.evaluation.results import ResultsError, read_questions, read_report
from agent0.stages import Stage, StageResult
from agent0.stages.evaluation_comparison import run_evaluation_comparison
from agent0.stages.evaluation_preparation import PreparedEvaluation, open_evaluation, prepare_evaluation

Write = Callable[..., Path]
MODEL = ModelSettings(source="s3://models/candidate/")


def compare(output: Path, *parts: Path, champion: str = "", history: str = "") -> StageResult:
    return run_evaluation_comparison(
        Stage.untracked("evaluation_comparison", 0),
        evaluations=parts,
        champion=champion,
        resolved_champion=champion or "none",
        promote=True,
        publish_to="",
        history=history,
        model_name="",
        model=MODEL,
        gate=GateSettings(draws=500),
        output=output,
        output_uri=str(output),
        page=output.with_suffix(".page"),
    )


def test_the_benchmarks_become_one_record_with_a_page_and_no_decision(write_evaluation: Write, tmp_path: Path) -> None:
    parts = write_evaluation("a", {"gsm8k": 70}, started_at=50.0), write_evaluation("b", {"math": 30}, finished_at=900)
    result = compare(tmp_path / "out", *parts)
    report = read_report(str(tmp_path / "out"))
    assert (report.name, report.model) == ("candidate", "s3://models/candidate/")
    assert (report.started_at, report.finished_at) == (50.0, 900.0)
    for score, right in zip(report.benchmarks, (70, 30), strict=True):
        verdicts = read_questions(str(tmp_path / "out"), score).values()
        assert sum(verdict.accuracy for verdict in verdicts) == right
    assert result.metrics["eval/mean"] == pytest.approx(0.5)
    assert "candidate" in (tmp_path / "out" / "comparison.html").read_text()
    assert not (tmp_path / "out" / "decision.json").exists()


@pytest.mark.parametrize(("right", "decided"), [(80, "promote"), (51, "keep")])
def test_a_champion_is_decided_against(right: int, decided: str, write_evaluation: Write, tmp_path: Path) -> None:
    champion = write_evaluation("champion", {"gsm8k": 50})
    result = compare(tmp_path / "out", write_evaluation("new", {"gsm8k": right}), champion=str(champion))
    record = json.loads((tmp_path / "out" / "decision.json").read_text())
    assert record["decision"] == decided
    assert record["results"][0]["difference"]["mean"] == pytest.approx(right / 100 - 0.5)
    assert record["settings"]["draws"] == 500
    assert result.metrics["eval/gate_promoted"] == (decided == "promote")
    assert "champion" in (tmp_path / "out" / "comparison.html").read_text()


def test_a_champion_that_cannot_be_compared_with_is_kept_with_a_warning(
    write_evaluation: Write, tmp_path: Path
) -> None:
    champion = write_evaluation("champion", {"gsm8k": 10}, tool=False)
    result = compare(tmp_path / "out", write_evaluation("new", {"gsm8k": 90}), champion=str(champion))
    assert json.loads((tmp_path / "out" / "decision.json").read_text())["decision"] == "keep"
    assert "cannot be compared with it. champion ran preset paper without the tool" in result.warnings[0]


def test_a_schedule_is_drawn_over_time_and_records_every_run_once(write_evaluation: Write, tmp_path: Path) -> None:
    history = tmp_path / "history"
    for day, right in ((1, 40), (2, 60), (2, 60)):  # the second run's task is tried twice
        part = write_evaluation(f"part{day}", {"gsm8k": right}, finished_at=day * 86_400.0)
        result = compare(tmp_path / f"out{day}", part, history=str(history))
        assert result.warnings == ()
    names = sorted(path.name for path in history.iterdir())
    assert names == ["19700102T000000Z-untracked.json", "19700103T000000Z-untracked.json"]
    page = (tmp_path / "out2" / "comparison.html").read_text()
    assert 'aria-label="Scores over time' in page
    assert page.count("1970-01-02") > (tmp_path / "out1" / "comparison.html").read_text().count("1970-01-03") == 0
    (history / "damaged.json").write_text("{}")
    result = compare(tmp_path / "out3", part, history=str(history))
    assert "leaves out a file" in result.warnings[0]
    assert "damaged.json" in result.warnings[0]


def test_evaluations_of_two_models_are_not_put_together(write_evaluation: Write, tmp_path: Path) -> None:
    parts = write_evaluation("a", {"gsm8k": 70}), write_evaluation("b", {"math": 30}, revision="other")
    with pytest.raises(UsageError, match="differ in revision"):
        compare(tmp_path / "out", *parts)
    with pytest.raises(UsageError, match="evaluated twice"):
        compare(tmp_path / "out", parts[0], parts[0])


def prepare(benchmarks: tuple[str, ...], champion: str = "") -> PreparedEvaluation:
    values = {"model": MODEL.model_dump(), "evaluation": {"benchmarks": benchmarks, "limit": 7}}
    return open_evaluation("", champion, values, "job-1")


def test_a_pipeline_of_another_version_is_refused() -> None:
    message = "was compiled by another version of Agent0.*Compile and upload it again"
    with pytest.raises(UsageError, match=message):
        prepare_evaluation("", 0, "", MODEL, EvaluationSettings(), GateSettings(), TrackingSettings(), "job-1")
    with pytest.raises(UsageError, match=message):
        open_evaluation("", "", {}, "job-1", wire=WIRE - 1)


def test_an_evaluation_is_opened_with_the_settings_of_every_later_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent0.tracking.mlflow_runs.start_run", lambda *given, note: given[2])
    prepared = prepare(("gsm8k", "tiny"))
    assert prepared.run_id == "evaluation candidate seed 0"
    assert (prepared.config.evaluation.benchmarks, prepared.config.evaluation.limit) == (("gsm8k", "tiny"), 7)
    assert (prepared.config.model.source, prepared.champion) == (MODEL.source, "none")


def test_what_is_wrong_is_found_before_anything_runs(write_evaluation: Write, tmp_path: Path) -> None:
    champion = write_evaluation("champion", {"gsm8k": 10})
    official = write_evaluation("official", {"gsm8k": 10}, preset="official")
    with pytest.raises(UsageError, match="There is no benchmark 'gsm9k'"):
        prepare(("gsm9k",))
    with pytest.raises(UsageError, match="named twice"):
        prepare(("tiny", "tiny"))
    with pytest.raises(UsageError, match="is of gsm8k, and this one of math"):
        prepare(("math",), str(champion))
    with pytest.raises(UsageError, match="ran the preset official"):
        prepare(("gsm8k",), str(official))
    with pytest.raises(ResultsError, match="There is no file"):
        prepare(("gsm8k",), str(tmp_path / "nothing"))
