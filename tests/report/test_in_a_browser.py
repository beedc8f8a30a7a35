"""The pages as a browser lays them out: light and dark, narrow and wide, with the network cut."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent0.report.evolution_comparison import name_runs
from agent0.report.evolution_comparison_page import render_comparison
from agent0.report.evolution_page import render
from agent0.report.history import History

pytestmark = pytest.mark.integration

PAGES = ("report", "comparison")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def pages(
    make_history: Callable[[int], History],
    make_runs: Callable[..., dict[str, History]],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    texts = {"report": render(make_history(3)), "comparison": render_comparison(name_runs(make_runs(3, 3, 3, 3, 2)))}
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in texts}


def opened(browser: Any, path: Path, scheme: str, width: int) -> tuple[Any, list[str]]:
    """The page, and what a reader would not want: errors, and requests for anything but the page."""
    page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.append(request.url) if request.url != path.as_uri() else None)
    page.goto(path.as_uri())
    return page, complaints


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_a_page_fits_its_window_and_asks_for_nothing(
    browser: Any, pages: dict[str, Path], name: str, scheme: str, width: int
) -> None:
    page, complaints = opened(browser, pages[name], scheme, width)
    assert complaints == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("svg").count() == {"report": 8, "comparison": 4}[name]
    for box in (figure.bounding_box() for figure in page.locator("figure").all()):
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    page.close()


@pytest.mark.parametrize("name", PAGES)
def test_text_and_figures_are_read_on_either_ground(browser: Any, pages: dict[str, Path], name: str) -> None:
    contrast = """selector => {
        const light = colour => { const c = colour.match(/[\\d.]+/g).slice(0, 3).map(Number).map(v => v / 255)
            .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
            return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2]; };
        const ground = light(getComputedStyle(document.querySelector('.canvas')).backgroundColor);
        return Math.min(...[...document.querySelectorAll(selector)].map(element => {
            const style = getComputedStyle(element);
            const ink = light(element.namespaceURI.endsWith('svg') ? style.fill : style.color);
            return (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05); })); }"""
    for scheme in ("light", "dark"):
        page, _ = opened(browser, pages[name], scheme, 1280)
        for selector in (".canvas svg text", "figcaption", "h2", "td", ".lead"):
            assert page.evaluate(contrast, selector) >= 4.5, (scheme, selector)  # WCAG 2.2, AA
        page.close()
