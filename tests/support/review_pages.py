"""MLflow's pages as a reviewer opens them, in the system's Chromium.

As a program it writes the pictures of the documentation, from a run on the server of MLFLOW_TRACKING_URI:
    python tests/support/review_pages.py RUN_ID docs/images
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from agent0.tracking.review import charts_of

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient
    from playwright.sync_api import Page

SECONDS = 90  # for a page to show what it should, on a loaded machine
SETTLE_SECONDS = 3  # for what moves to come to rest before a picture
# What MLflow keeps in the browser of somebody who was there before: no assistant and no tour in the way.
SEEN_BEFORE = """
localStorage.setItem('mlflow.assistant.panelOpen_v1', 'false');
localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true');
localStorage.setItem('mlflow.detectIssues.guidanceShown_v1', 'true');
"""


def program() -> str | None:
    """Return where Chromium is; None if it is not installed."""
    return shutil.which("chromium")


@contextmanager
def opened_browser(uri: str, username: str, password: str) -> Iterator[Page]:
    """Yield a page that is logged in to the tracking server at `uri` and reaches nothing else."""
    from playwright.sync_api import sync_playwright

    arguments = ["--disable-gpu", "--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program(), args=arguments)
        context = browser.new_context(
            base_url=uri,
            viewport={"width": 1440, "height": 900},
            http_credentials={"username": username, "password": password},
        )
        context.set_default_timeout(SECONDS * 1000)
        context.add_init_script(SEEN_BEFORE)
        context.route(lambda url: not url.startswith(uri), lambda route: route.abort())
        yield context.new_page()
        browser.close()


def open_charts(page: Page, experiment: str, run: str) -> str:
    """Open the charts of the executor's scores in a run, wait until they are drawn, and return the page's text."""
    page.goto(charts_of("", experiment, run))
    page.get_by_placeholder("Search metric charts").fill("eval/")
    page.locator(".js-plotly-plot .scatterlayer .trace").first.wait_for()
    return page.locator("body").inner_text()


def open_report(page: Page, experiment: str, run: str) -> str:
    """Open the report among the artifacts of a run; return its text, with plain blanks."""
    page.goto(f"/#/experiments/{experiment}/runs/{run}/artifacts/report.html")
    body = page.frame_locator("iframe").locator("body")
    body.locator("svg").first.wait_for()
    return " ".join(body.inner_text().split())


def open_model(page: Page, name: str) -> str:
    """Open a registered model; return the page's text."""
    page.goto(f"/#/models/{name}")
    page.get_by_text("@ candidate").first.wait_for()
    return page.locator("body").inner_text()


def open_trace(page: Page, experiment: str, trace: str) -> str:
    """Open a trace with what was said of it, and return the page's text."""
    page.goto(f"/#/experiments/{experiment}/traces?selectedEvaluationId={trace}")
    page.get_by_label("Assess trace").first.click()
    page.get_by_text("Feedback (").first.wait_for()
    return page.locator("body").inner_text()


def trace_with_tool(client: MlflowClient, experiment: str) -> str:
    """Return the id of an experiment's newest trace in which the tool was called."""
    traces = client.search_traces(locations=[experiment])
    return str(next(t.info.trace_id for t in traces if any(span.span_type == "TOOL" for span in t.data.spans)))


def main() -> None:
    """Write the pictures."""
    from mlflow.tracking import MlflowClient

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="of an evolution")
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    uri, run = os.environ["MLFLOW_TRACKING_URI"], arguments.run
    client = MlflowClient(uri)
    experiment = client.get_run(run).info.experiment_id
    trace = trace_with_tool(client, experiment)
    pages: dict[str, Callable[[Page], str]] = {
        "mlflow-evolution": lambda page: open_charts(page, experiment, run),
        "mlflow-report": lambda page: open_report(page, experiment, run),
        "mlflow-registry": lambda page: open_model(page, "agent0-executor"),
        "mlflow-traces": lambda page: open_trace(page, experiment, trace),
    }
    account = (os.environ.get(f"MLFLOW_TRACKING_{name}", "") for name in ("USERNAME", "PASSWORD"))
    with opened_browser(uri, *account) as page:
        for name, open_page in pages.items():
            open_page(page)
            page.wait_for_timeout(1000 * SETTLE_SECONDS)
            page.screenshot(path=arguments.folder / f"{name}.png")
            print(arguments.folder / f"{name}.png")


if __name__ == "__main__":
    main()
