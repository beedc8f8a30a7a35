from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent0.cli.main import app
from agent0.evaluation.results import Estimate
from agent0.promotion.claims import Run, pair_runs
from agent0.promotion.comparison_page import render
from agent0.promotion.scheduled_records import in_order

MakeRun = Callable[..., Run]
DAY = 86_400.0
VOID = {"meta", "br", "link"}


class Balance(HTMLParser):
    """Fails on tags that do not close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page(*runs: Run) -> str:
    return render(runs, pair_runs(runs))


def test_the_page_is_whole_loads_nothing_and_is_the_same_each_time(make_run: MakeRun) -> None:
    runs = (
        make_run("base", {"math_500": (0.78, 1), "aime_2024": (0.14, 32)}),
        make_run(
            "iteration 1", {"math_500": (0.84, 1), "aime_2024": (0.25, 32)}, finished_at=1_760_000_600.0 + 7 * DAY
        ),
    )
    html = page(*runs)
    checker = Balance()
    checker.feed(html)
    assert checker.open == []
    assert not re.search(r"<script|<link|src=|@import|url\((?!#)", html)
    assert "prefers-color-scheme: dark" in html
    assert html == page(*runs)


def test_the_page_shows_scores_judging_cost_and_history(make_run: MakeRun) -> None:
    runs = [
        make_run(f"run {i}", {"math_500": (0.7, 1), "aime_2024": (0.2, 32)}, finished_at=1.76e9 + i * DAY)
        for i in (1, 2)
    ]
    html = page(*runs)
    assert "paper: greedy, GPT-4o judge" in html
    assert "paper: mean@32, GPT-4o judge" in html
    assert "82.4 <span" in html, "the paper's Agent0-8B on MATH-500"
    assert "1,800,000" in html, "response tokens of both benchmarks"
    assert 'aria-label="Scores over time' in html
    assert "2025-10" in html


def test_one_run_has_no_history_and_no_pair(make_run: MakeRun) -> None:
    html = page(make_run("only", {"math_500": (0.7, 1)}))
    assert "There is one run." in html
    assert "Nothing to draw: a history needs" in html


def test_raw_and_judged_scores_are_both_shown(make_run: MakeRun) -> None:
    run = make_run("ours", {"math_500": (0.7, 1)})
    score = run.report.benchmarks[0].model_copy(
        update={"judge": "judge-1", "judged": Estimate(mean=0.777, low=0.7, high=0.8)}
    )
    html = page(Run(run.place, run.report.model_copy(update={"benchmarks": (score,)})))
    assert "judge-1: 77.7" in html
    assert f"{100 * score.score.mean:.1f}" in html


def test_a_long_schedule_shows_its_ends_and_the_whole_history(make_run: MakeRun) -> None:
    runs = [make_run(f"week {i}", {"math_500": (0.7, 1)}, finished_at=1.76e9 + i * 7 * DAY) for i in range(7)]
    html = page(*runs)
    assert "3 between them are in the history only" in html
    assert "<h3>week 3</h3>" not in html
    assert "<h3>week 0</h3>" in html
    assert "<h3>week 6</h3>" in html


def test_a_history_is_drawn_beside_the_runs_in_the_setting_of_the_newest(make_run: MakeRun) -> None:
    past = [make_run(f"night {i}", {"math_500": (0.7, 1)}, finished_at=1.75e9 + i * DAY) for i in range(3)]
    other = make_run("official night", {"math_500": (0.7, 1)}, preset="official", finished_at=1.755e9)
    run = make_run("tonight", {"math_500": (0.7, 1)})
    html = render([run], [], history=in_order([run], [*past, other, run]))
    assert [html.count(f"<td>{name}<small>") for name in ("night 0", "night 2", "tonight")] == [1, 1, 1]
    assert "official night" not in html


def test_names_are_never_markup(make_run: MakeRun) -> None:
    run = make_run("x", {"math_500": (0.7, 1)})
    html = page(Run(run.place, run.report.model_copy(update={"name": "<script>alert(1)</script>"})))
    assert "<script>" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_the_command_prints_a_table_and_writes_the_page(make_run: MakeRun, tmp_path: Path) -> None:
    first = make_run("base", {"math_500": (0.5, 1)})
    second = make_run("later", {"math_500": (0.6, 1)}, finished_at=1.77e9)
    target = tmp_path / "out" / "report.html"
    done = CliRunner().invoke(app, ["compare", first.place, second.place, "--output", str(target)])
    assert done.exit_code == 0, done.output
    assert "MATH-500" in done.output
    assert "later is above on MATH-500" in " ".join(done.output.split())
    assert target.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("content", [None, "{}", "no json"])
def test_a_folder_without_an_evaluation_is_an_error_that_says_so(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "evaluation.json").write_text(content)
    done = CliRunner().invoke(app, ["compare", str(tmp_path)])
    assert done.exit_code != 0
    assert "evaluation.json" in str(done.exception)
