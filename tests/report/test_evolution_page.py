"""The page: complete, self-contained, safe with hostile text, and the same bytes every time."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import matplotlib
import pytest

from agent0.errors import Agent0Error
from agent0.report.evolution_page import render
from agent0.report.history import History

SECTIONS = (
    "accuracy", "difficulty", "tools", "consistency", "yield",
    "labels", "diversity", "training", "trajectories", "provenance",
)  # fmt: skip
HOSTILE = (
    "</pre></text></summary></style><script>alert(1)</script>" + "<img src=x onerror=alert(2)>{{ 7*7 }}&amp;\"'$x^2$"
)


class Page(HTMLParser):
    """Everything the tests ask of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.svg_labels: list[str] = []
        self.text: list[str] = []
        self.figures: list[dict[str, str | None]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag == "svg":
            self.figures.append(dict(attrs))

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self.tags and self.tags[-1] == "text":
            self.svg_labels.append(data.strip())

    def values(self, *names: str) -> list[str]:
        return [value or "" for name, value in self.attributes if name in names]


@pytest.fixture(scope="module")
def html(make_history: Callable[[int], History]) -> str:
    return render(make_history(3))


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_every_section_is_present_in_order(html: str, page: Page) -> None:
    ids = [value for value in page.values("id") if value in SECTIONS]
    assert ids == list(SECTIONS)
    assert html.startswith("<!DOCTYPE html>")


def test_every_figure_is_there_with_an_alternative_text(page: Page) -> None:
    assert len(page.figures) == 8
    assert all(figure["role"] == "img" and len(figure["aria-label"] or "") > 20 for figure in page.figures)
    assert page.tags.count("figcaption") == 8


def test_every_figure_says_its_n_and_its_error_bars_or_why_it_has_none(html: str) -> None:
    notes = re.findall(r'<span class="rests">(.*?)</span>', html)
    assert len(notes) == 8
    assert all("n = " in note for note in notes)
    assert all("Bars: 95 % intervals" in note or "error bars" in note for note in notes)
    assert "n = 240 held-out questions (40 per level), 4 sampled trajectories each. Bars: 95 %" in html
    assert "tasks in iterations 1 to 3. Counts of a whole pool" in html


def test_a_stranger_is_told_what_the_page_is_about(html: str) -> None:
    assert "Agent0 grows two agents from one language model" in html


def test_nothing_is_loaded_from_elsewhere(html: str, page: Page) -> None:
    loaded = page.values("src", "href", "xlink:href", "data", "action", "poster", "srcset")
    assert loaded
    assert all(value.startswith("#") for value in loaded)
    assert not {"script", "link", "img", "iframe", "object", "embed"} & set(page.tags)
    assert "@import" not in html
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", html))


def test_ids_are_unique_and_every_reference_has_its_target(html: str, page: Page) -> None:
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    targets = set(re.findall(r"url\(#([^)]*)\)", html)) | {v[1:] for v in page.values("href", "xlink:href")}
    assert targets <= set(ids)


def test_figures_carry_the_numbers(page: Page) -> None:
    for label in (
        "45.5",
        "68.8",
        "13.0",
        "49.3",
        "2x1",
        "5x2",
        "59.0",
        "49.0",
        "88.5",
        "79.5",
        "10.5",
        "91.0",
    ):
        assert label in page.svg_labels
    assert any("160 → 129 → 78" in label for label in page.svg_labels)


def test_figures_follow_the_colour_scheme_of_the_page(html: str) -> None:
    svgs = "".join(re.findall(r"<svg.*?</svg>", html, re.DOTALL))
    assert re.findall(r"#[0-9a-f]{6}\b", svgs) == []
    defined = set(re.findall(r"(--[a-z]+):", html))
    assert set(re.findall(r"var\((--[a-z]+)\)", svgs)) <= defined


def test_the_headline_says_what_the_intervals_allow(html: str) -> None:
    assert "The 95 % intervals do not overlap" in html
    assert "39.2\u00a0% to 51.8\u00a0%" in html
    assert "another seed may end elsewhere" in html


def test_same_history_gives_the_same_bytes(html: str, make_history: Callable[[int], History]) -> None:
    with matplotlib.rc_context({"font.size": 31, "svg.fonttype": "path", "axes.grid": False}):
        assert render(make_history(3)) == html


def test_another_process_gives_the_same_bytes_without_pyplot(
    html: str, make_history: Callable[[int], History], tmp_path: Path
) -> None:
    source, target = tmp_path / "history.json", tmp_path / "report.html"
    source.write_text(make_history(3).model_dump_json(), encoding="utf-8")
    code = (
        "import sys; from pathlib import Path\n"
        "from agent0.report.history import History; from agent0.report.evolution_page import render\n"
        f"text = render(History.model_validate_json(Path({str(source)!r}).read_text(encoding='utf-8')))\n"
        f"Path({str(target)!r}).write_text(text, encoding='utf-8')\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONHASHSEED": "12345"})
    assert target.read_text(encoding="utf-8") == html


def test_hostile_text_stays_text(make_history: Callable[[int], History]) -> None:
    history = make_history(1)
    base, record = history.iterations
    assert record.proposals is not None
    example = record.examples[0].model_copy(
        update={
            "question": HOSTILE,
            "text": f"{HOSTILE}\n```python\n{HOSTILE}\n```\n```output\n{HOSTILE}\n```\n\x00\u202e",
            "answer": HOSTILE,
            "pseudo_label": HOSTILE,
            "known_answer": HOSTILE,
        }
    )
    proposals = record.proposals.model_copy(update={"rejections": {HOSTILE: 3}, "filtered": {HOSTILE: 2}})
    scores = record.executor.model_copy(update={"levels": {HOSTILE: record.executor.levels["2x1"]}})
    record = record.model_copy(
        update={
            "examples": (example,),
            "proposals": proposals,
            "executor": scores,
            "stage_seconds": {HOSTILE: 1.0},
        }
    )
    history = history.model_copy(
        update={
            "recipe": HOSTILE,
            "code_version": HOSTILE,
            "tracking_uri": "http://127.0.0.1:5000/" + HOSTILE,
            "config": {HOSTILE: {HOSTILE: HOSTILE}},
            "iterations": (base, record),
        }
    )
    html = render(history)
    page = Page(html)
    assert not {"script", "img"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "<script" not in html
    assert "\x00" not in html
    assert "\u202e" not in html
    assert "".join(page.text).count("<script>alert(1)</script>") >= 8
    assert "{{ 7*7 }}" in "".join(page.text)
    assert any("$x^2$" in label for label in page.svg_labels)


def test_a_very_long_trajectory_is_cut(make_history: Callable[[int], History]) -> None:
    history = make_history(1)
    base, record = history.iterations
    example = record.examples[0].model_copy(update={"text": "y" * 500_000, "question": "q" * 10_000})
    record = record.model_copy(update={"examples": (example,)})
    html = render(history.model_copy(update={"iterations": (base, record)}))
    assert "more characters are not shown" in html
    assert "y" * 10_000 not in html
    assert "q" * 1_000 not in html


def test_the_base_model_alone_makes_a_report(make_history: Callable[[int], History]) -> None:
    html = render(make_history(0))
    page = Page(html)
    assert [value for value in page.values("id") if value in SECTIONS] == list(SECTIONS)
    assert "0 of 3 planned iterations" in html
    assert "Only the base model has been measured" in html
    assert len(page.figures) == 2


def test_missing_numbers_are_dashes(make_history: Callable[[int], History]) -> None:
    history = make_history(3)
    records = list(history.iterations)
    second, third = records[2], records[3]
    assert second.proposals is not None
    assert third.proposals is not None
    nothing = dict.fromkeys(
        f"{name}{end}" for name in ("first_executor_pass_rate", "label_accuracy") for end in ("", "_low", "_high")
    )
    records[2] = second.model_copy(update={"proposals": second.proposals.model_copy(update=nothing)})
    bounds = {"label_accuracy_low": None, "label_accuracy_high": None, "generated": 0, "valid": 0, "kept": 0}
    empty = {"self_consistency_histogram": {}, "rejections": {}, "filtered": {}}
    records[3] = third.model_copy(
        update={
            "proposals": third.proposals.model_copy(update=bounds | empty),
            "training": {},
            "examples": (),
        }
    )
    html = render(history.model_copy(update={"iterations": tuple(records), "config": {}}))
    labels = Page(html).svg_labels
    assert "79.5" in labels
    assert "84.0" not in labels
    assert "–" in html
    assert "nan" not in re.sub(r"<[^>]*>", "", html).lower().split()


def test_ten_iterations_make_a_report_of_modest_size(make_history: Callable[[int], History]) -> None:
    html = render(make_history(10))
    assert "Iteration 10" in Page(html).svg_labels
    assert len(html.encode()) < 1_000_000


def test_training_values_that_are_not_finite_are_gaps(make_history: Callable[[int], History]) -> None:
    history = make_history(1)
    base, record = history.iterations
    rows = ({"step": 1.0, "kl": 0.1}, {"step": 2.0, "kl": float("nan")}, {"step": 3.0, "kl": float("inf")})
    record = record.model_copy(update={"training": {"executor": rows}})
    html = render(history.model_copy(update={"iterations": (base, record)}))
    labels = Page(html).svg_labels
    assert "KL to the stage's start" in labels
    assert "Reward" not in labels
    assert "Curriculum agent" not in labels


def test_a_logged_row_without_a_step_is_an_error_that_names_the_agent(
    make_history: Callable[[int], History],
) -> None:
    history = make_history(1)
    base, record = history.iterations
    record = record.model_copy(update={"training": {"executor": ({"reward": 1.0},)}})
    with pytest.raises(Agent0Error, match="executor's training has no 'step'"):
        render(history.model_copy(update={"iterations": (base, record)}))


def test_an_inert_clip_is_said(make_history: Callable[[int], History]) -> None:
    history = make_history(1)
    base, record = history.iterations
    rows = tuple({"step": float(s), "reward": 0.5, "clip_ratio/high_mean": 0.0} for s in (1, 2))
    record = record.model_copy(update={"training": {"executor": rows}})
    html = render(history.model_copy(update={"iterations": (base, record)}))
    assert "was ever clipped" in html
    assert "was ever clipped" not in render(make_history(1))
