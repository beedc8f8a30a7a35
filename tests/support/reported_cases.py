"""Faults that people reported in public, of this project or of others like it, as cases with what is expected.

They are not kept here: `reported_cases` reads them from the folder `shared/cases` above the checkout, or the one in
AGENT0_REFERENCE, and skips the test where there is none.
"""

from __future__ import annotations

import json
from typing import Any

from tests.support.custom_resources import reference


def reported_cases(area: str) -> list[dict[str, Any]]:
    """Return the cases of an area, each with an `id`, an `input`, what is `expected`, and its `kind`."""
    lines = reference("public_reports.jsonl", "cases").read_text(encoding="utf-8").splitlines()
    return [case for case in map(json.loads, lines) if case["area"] == area]
