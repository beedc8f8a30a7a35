from __future__ import annotations

from pathlib import Path

import pytest

REAL_ROWS = Path(__file__).parents[2] / "../shared/data"


@pytest.fixture
def real_rows() -> Path:
    """Folder of real benchmark rows, which are not part of the product."""
    if not REAL_ROWS.is_dir():
        pytest.skip("the real benchmark rows are not on this machine")
    return REAL_ROWS
