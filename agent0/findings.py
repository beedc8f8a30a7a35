"""What an examination found: one finding a check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One row: what was looked at, how it is, what was found, and what to do about it."""

    check: str
    state: State
    finding: str
    advice: str = ""


def healthy(findings: Sequence[Finding]) -> bool:
    """Whether nothing that is needed is missing; warnings are no such thing."""
    return all(finding.state != "fail" for finding in findings)
