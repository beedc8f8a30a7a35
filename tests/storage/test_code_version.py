"""What a run records of the code that made it."""

from __future__ import annotations

import re

import pytest

from agent0.storage.digest import COMMIT_VARIABLE, code_version

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("commit", "ending"),
    [("", ""), ("unknown", ""), (COMMIT, ".g0123456789ab"), (f"{COMMIT}-dirty", ".g0123456789ab.dirty")],
)
def test_an_image_adds_the_commit_that_it_was_built_from(
    commit: str, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(COMMIT_VARIABLE, commit)
    code_version.cache_clear()
    try:
        assert re.fullmatch(r"\d+\.\d+\.\d+\+[0-9a-f]{12}" + re.escape(ending), code_version())
    finally:
        code_version.cache_clear()
