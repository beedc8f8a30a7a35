"""Findings as a table for people and as JSON for programs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from rich import box
from rich.markup import escape
from rich.table import Table

from agent0.findings import Finding, State, healthy

COLOURS: dict[State, str] = {"ok": "green", "warn": "yellow", "fail": "red"}


def render_table(title: str, findings: Sequence[Finding]) -> Table:
    """Return the findings as a table; advice stands below what it is about."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("check", overflow="fold")
    table.add_column("")
    table.add_column("finding", overflow="fold")
    for item in findings:
        advice = f"\n[dim]→[/dim] {escape(item.advice)}" if item.advice else ""
        table.add_row(item.check, f"[{COLOURS[item.state]}]{item.state}", escape(item.finding) + advice)
    return table


def render_json(findings: Sequence[Finding]) -> str:
    """Return the findings as a JSON object."""
    rows = [dataclasses.asdict(item) for item in findings]
    return json.dumps({"healthy": healthy(findings), "checks": rows}, indent=2, ensure_ascii=False)
