"""The command line, run in this process, which spares its imports."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

import pytest

from agent0.cli.main import main


@dataclass(frozen=True)
class Done:
    """What a command printed, and how it ended."""

    returncode: int
    stdout: str
    stderr: str


def run_here(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], arguments: tuple[str | bytes, ...]
) -> Done:
    """Run a command to its end."""
    monkeypatch.setattr(sys, "argv", ["agent0", *map(os.fsdecode, arguments)])
    capfd.readouterr()
    with pytest.raises(SystemExit) as ended:
        main()
    said = capfd.readouterr()
    return Done(int(ended.value.code or 0), said.out, said.err)
