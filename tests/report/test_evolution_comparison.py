"""Evolutions side by side: who may be compared, what is claimed of them, and the page."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent0.cli.report_view import comparison_table
from agent0.errors import Agent0Error, UsageError
from agent0.report import evolution_comparison
from agent0.report.evolution_comparison_page import render_comparison
from agent0.report.history import History, Score
from agent0.stages.open_history import open_history, open_runs

MakeRuns = Callable[..., dict[str, History]]
INTERVALS = st.tuples(*[st.floats(0, 1)] * 3).map(sorted)


def score(low: float, accuracy: float, high: float, n: int = 50) -> Score:
    return Score(accuracy=accuracy, ci_low=low, ci_high=high, n=n, tool_calls=1.0, self_consistency=0.5)


def save(history: History, folder: Path) -> None:
    folder.mkdir()
    (folder / "history.json").write_text(history.model_dump_json(), encoding="utf-8")


def with_last(history: History, accuracy: float, low: float, high: float) -> History:
    *earlier, last = history.iterations
    executor = last.executor.model_copy(update={"accuracy": accuracy, "ci_low": low, "ci_high": high})
    return history.model_copy(update={"iterations": (*earlier, last.model_copy(update={"executor": executor}))})


@given(INTERVALS, INTERVALS)
def test_a_difference_is_claimed_only_where_its_own_interval_leaves_zero(a: list[float], b: list[float]) -> None:
    found = evolution_comparison.gap(score(*a), score(*b))
    assert found.low <= found.mean + 1e-9
    assert found.mean - 1e-9 <= found.high
    if found.order == "above":
        assert found.low > -1e-9
    if found.order == "below":
        assert found.high < 1e-9
    assert found.order in ("overlap", "above", "below")
    mirrored = evolution_comparison.gap(score(*b), score(*a))
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low))


def test_the_interval_of_a_difference_is_that_of_two_independent_estimates() -> None:
    found = evolution_comparison.gap(score(0.4 - 0.03, 0.4, 0.4 + 0.03), score(0.5 - 0.04, 0.5, 0.5 + 0.04))
    assert (found.mean, found.low, found.high) == pytest.approx((0.1, 0.05, 0.15))
    assert found.order == "above"


def test_overlapping_intervals_are_no_claim_in_sentence_table_and_page(make_runs: MakeRuns) -> None:
    places = make_runs(3, 3, 3)
    a, b, c = places
    runs = evolution_comparison.name_runs(
        {
            a: with_last(places[a], 0.6, 0.55, 0.65),
            b: with_last(places[b], 0.68, 0.64, 0.72),  # overlaps a, though the difference's interval leaves zero
            c: with_last(places[c], 0.72, 0.66, 0.78),
        }
    )
    assert evolution_comparison.gap(runs[0].last.executor, runs[1].last.executor).low > 0
    html = render_comparison(runs)
    assert "seed1 after iteration 3 is not told apart from seed0 after iteration 3: the intervals overlap." in html
    assert (
        "seed2 after iteration 3 is more accurate than seed0 after iteration 3: the intervals do not overlap." in html
    )
    assert re.search(r'\+8\.0 \([^<]*</td><td class="overlap">no difference shown', html)
    assert re.search(r'\+12\.0 \([^<]*</td><td class="above">▲ more accurate', html)
    assert "not told apart" in " ".join(comparison_table(runs).notes)


def test_five_runs_make_a_page_that_loads_nothing_and_follows_the_colour_scheme(make_runs: MakeRuns) -> None:
    runs = evolution_comparison.name_runs(make_runs(3, 3, 3, 3, 3))
    html = render_comparison(runs)
    tags: list[tuple[str, dict[str, str | None]]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append((tag, dict(attrs)))

    Reader().feed(html)
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in tags}
    assert all(str(a["href"]).startswith("#") for _, a in tags if "href" in a)
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", html))
    figures = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert len(figures) == 4
    assert re.findall(r"#[0-9a-f]{6}\b", "".join(figures)) == []
    assert all(f"var(--run{number})" in figures[0] for number in (1, 2, 3, 4, 5))
    assert set(re.findall(r"var\((--[a-z0-9]+)\)", html)) - {"--of"} <= set(re.findall(r"(--[a-z0-9]+):", html))
    ids = [str(attributes["id"]) for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert html == render_comparison(runs)


def test_every_figure_says_its_n_and_its_error_bars(make_runs: MakeRuns) -> None:
    html = render_comparison(evolution_comparison.name_runs(make_runs(3, 2)))
    notes = re.findall(r'<span class="rests">(.*?)</span>', html)
    assert len(notes) == 4
    assert all("n = " in note and "Bars: 95 % intervals" in note for note in notes)
    assert "seed0 64, 64, 64; seed1 64, 64" in html


def test_runs_of_unequal_length_are_said_to_be(make_runs: MakeRuns) -> None:
    html = render_comparison(evolution_comparison.name_runs(make_runs(3, 1, 0)))
    assert "The runs have not come equally far" in html
    assert "seed1 has 1 of 3 planned iterations" in html
    assert "no finished iteration" in html
    assert "not come equally far" not in render_comparison(evolution_comparison.name_runs(make_runs(2, 2)))


def test_settings_that_differ_are_listed_and_seeds_alone_are_said(make_runs: MakeRuns) -> None:
    places = make_runs(1, 1)
    runs = evolution_comparison.name_runs(places)
    assert evolution_comparison.differing_settings(runs) == [("seed", ["0", "1"])]
    assert "differ in nothing but the seed" in render_comparison(runs)
    first, second = places
    config = dict(places[second].config)
    config["executor"] = {**config["executor"], "steps": 99}
    runs = evolution_comparison.name_runs(
        {first: places[first], second: places[second].model_copy(update={"config": config})}
    )
    assert ("executor.steps", ["10", "99"]) in evolution_comparison.differing_settings(runs)
    assert "cannot tell a setting's effect from a seed's" in render_comparison(runs)


def test_names_are_the_shortest_ends_that_tell_the_runs_apart(make_runs: MakeRuns) -> None:
    one, two = make_runs(1, 1).values()
    runs = evolution_comparison.name_runs({"/a/seed0": one, "/b/seed0": two})
    assert [run.name for run in runs] == ["a/seed0", "b/seed0"]


def test_hostile_names_and_settings_stay_text(make_runs: MakeRuns) -> None:
    one, two = make_runs(1, 1).values()
    config = {**two.config, "<script>alert(1)</script>": "<img src=x onerror=alert(2)>"}
    runs = evolution_comparison.name_runs(
        {"/a": one, "/<script>alert(3)</script>$x^2$": two.model_copy(update={"config": config})}
    )
    html = render_comparison(runs)
    assert "<script" not in html
    assert "<img" not in html


def test_too_many_runs_the_same_run_and_other_worlds_are_one_sentence_each(make_runs: MakeRuns, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at most 5 runs, and 6 are named"):
        open_runs([f"run{number}" for number in range(6)])
    places = make_runs(1, 1)
    for place, history in places.items():
        save(history, tmp_path / Path(place).name)
    first, second = (str(tmp_path / Path(place).name) for place in places)
    assert [run.name for run in open_runs([first, second])] == ["seed0", "seed1"]
    with pytest.raises(UsageError, match="is named twice"):
        open_runs([first, f"{first}/../seed0/"])
    save(places["/runs/seed0"], tmp_path / "copy")
    with pytest.raises(UsageError, match="are the same run"):
        open_runs([first, str(tmp_path / "copy")])
    other = places["/runs/seed1"]
    config = {**other.config, "evaluation": {**other.config["evaluation"], "benchmarks": ["gsm8k"]}}
    save(other.model_copy(update={"config": config}), tmp_path / "other")
    with pytest.raises(UsageError, match=r"evaluation.benchmarks is tiny in the one and gsm8k in the other"):
        open_runs([first, str(tmp_path / "other")])


def test_a_place_that_is_no_run_and_a_damaged_history_say_so(tmp_path: Path) -> None:
    with pytest.raises(Agent0Error, match="holds no history"):
        open_history(str(tmp_path))
    (tmp_path / "history.json").write_text('{"recipe": "tiny"}')
    with pytest.raises(
        Agent0Error, match=r"is no history of a run: seed: Field required; it is damaged or of another version"
    ):
        open_history(str(tmp_path))


def test_a_run_is_read_from_its_mlflow_run(
    make_runs: MakeRuns, empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.tracking import MlflowClient

    uri = f"sqlite:///{shutil.copy(empty_store, tmp_path)}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    client = MlflowClient(uri)
    experiment = client.create_experiment("evolutions", artifact_location=str(tmp_path / "artifacts"))
    (history,) = make_runs(2).values()
    save(history, tmp_path / "run")
    full, empty = (client.create_run(experiment).info.run_id for _ in range(2))
    client.log_artifact(full, str(tmp_path / "run" / "history.json"))
    assert open_history(f"runs:/{full}") == history
    with pytest.raises(Agent0Error, match=f"runs:/{empty} holds no history"):
        open_history(f"runs:/{empty}")
    with pytest.raises(Agent0Error, match="does not give runs:/nosuchrun"):
        open_history("runs:/nosuchrun")
