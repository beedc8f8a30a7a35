"""The metric dictionary of `mlflow/README.md`, read as patterns."""

from __future__ import annotations

import re
from pathlib import Path


def patterns(where: str = "") -> list[re.Pattern[str]]:
    """The names in the first column of the dictionary's table, as patterns; only of rows whose second names `where`."""
    text = (Path(__file__).parents[2] / "mlflow" / "README.md").read_text(encoding="utf-8")
    section = text.split("## Metrics")[1].split("\n## ")[0]
    cells = [line.split("|") for line in section.splitlines() if line.startswith("| `")]
    rows = [cell[1] for cell in cells if where in re.split(r",? +", cell[2]) or not where]
    names = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    placeholders = {r"\*": ".+", "BENCHMARK": "[a-z0-9_-]+", "AGENT": "(?:curriculum|executor)"}
    for placeholder, meaning in placeholders.items():
        names = [(re.escape(name) if placeholder == r"\*" else name).replace(placeholder, meaning) for name in names]
    return [re.compile(name) for name in names]


def unknown(names: set[str]) -> list[str]:
    """Those of the names that the dictionary does not explain."""
    known = patterns()
    return sorted(name for name in names if not any(pattern.fullmatch(name) for pattern in known))
