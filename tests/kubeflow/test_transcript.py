from __future__ import annotations

import difflib

from tests.kubeflow.transcript import PAGE, make_transcript, with_transcript


def test_the_transcript_of_the_page_is_what_the_commands_print() -> None:
    page = PAGE.read_text(encoding="utf-8")
    anew = with_transcript(page, make_transcript())
    changed = "\n".join(
        difflib.unified_diff(page.splitlines(), anew.splitlines(), "docs/kubeflow.md", "now", lineterm="")
    )
    assert not changed, f"python -m tests.kubeflow.transcript writes it anew\n{changed}"
