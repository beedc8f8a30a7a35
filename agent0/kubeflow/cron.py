"""Cron expressions of Kubeflow: six fields, the first of which is the second, or `@every 1h`; and when they fire next.

The rules are those of the library that the server uses (robfig/cron 1.2). It also takes five fields, and reads them
from the left: `0 3 * * *`, meant as three in the morning, fires at the third minute of every hour. So five are refused.
"""

from __future__ import annotations

import calendar
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from agent0.errors import UsageError

_MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_abbr) if name}
_DAYS = {name.lower(): (number + 1) % 7 for number, name in enumerate(calendar.day_abbr)}
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("second", 0, 59, {}),
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 6, _DAYS),
)
_DESCRIPTORS = {
    "@yearly": "0 0 0 1 1 *",
    "@annually": "0 0 0 1 1 *",
    "@monthly": "0 0 0 1 * *",
    "@weekly": "0 0 0 * * 0",
    "@daily": "0 0 0 * * *",
    "@midnight": "0 0 0 * * *",
    "@hourly": "0 0 * * * *",
}
_EVERY = "@every"
_DURATION = re.compile(r"\+?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:h|ms|m|s|us|µs|μs|ns))+")
_PART = re.compile(r"([0-9.]+)([a-zµμ]+)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}
_HORIZON_DAYS = 366 * 5


@dataclass(frozen=True)
class Cron(ABC):
    """A parsed expression, as it is sent."""

    expression: str

    @abstractmethod
    def firings(self, after: datetime) -> Iterator[datetime]:
        """Yield the times that follow `after`, which are none if none comes within five years."""

    def next(self, after: datetime, count: int = 1) -> list[datetime]:
        """Return the next times, at most `count`."""
        return list(islice(self.firings(after), count))


@dataclass(frozen=True)
class Interval(Cron):
    """`@every DURATION`: whole seconds from one firing to the next."""

    seconds: int

    def firings(self, after: datetime) -> Iterator[datetime]:
        """Yield the times that follow `after`."""
        moment = after.replace(microsecond=0)
        while True:
            moment += timedelta(seconds=self.seconds)
            yield moment


@dataclass(frozen=True)
class Fields(Cron):
    """Six fields: the allowed values of each, and whether either field of the day is a star."""

    values: tuple[frozenset[int], ...]
    any_day: bool

    def firings(self, after: datetime) -> Iterator[datetime]:
        """Yield the times that follow `after`."""
        seconds, minutes, hours, _, _, _ = (sorted(field) for field in self.values)
        first = (after + timedelta(seconds=1)).replace(microsecond=0)
        midnight = first.replace(hour=0, minute=0, second=0)
        for number in range(_HORIZON_DAYS):
            day = midnight + timedelta(days=number)
            if not self._on(day):
                continue
            for hour in hours:
                for minute in minutes:
                    for second in seconds:
                        moment = day.replace(hour=hour, minute=minute, second=second)
                        if moment >= first:
                            yield moment

    def _on(self, day: datetime) -> bool:
        in_month, in_week = day.day in self.values[3], day.isoweekday() % 7 in self.values[5]
        fits = in_month and in_week if self.any_day else in_month or in_week
        return day.month in self.values[4] and fits


def parse_cron(expression: str) -> Cron:
    """Read an expression.

    Raises:
        UsageError: it has not six fields (with the six-field form of five), a field is out of range, or it never fires.
    """
    if expression.split()[:1] == [_EVERY]:
        return _interval(expression)
    text = _DESCRIPTORS.get(expression.strip().lower(), expression)
    fields = text.split()
    if len(fields) == 5:
        raise UsageError(
            f"--cron {expression!r} has five fields; Kubeflow's have six, the first for the second. You probably mean "
            f"'0 {' '.join(fields)}'."
        )
    if len(fields) != 6:
        raise UsageError(
            f"--cron {expression!r} has {len(fields)} fields, not six: second, minute, hour, day of the month, month, "
            "day of the week; '0 0 3 * * *' is three o'clock every day."
        )
    values = tuple(
        frozenset().union(*(_range(part, *field, expression) for part in text.split(",")))
        for text, field in zip(fields, _FIELDS, strict=True)
    )
    starred = [any(part[0] in "*?" for part in fields[index].split(",") if part) for index in (3, 5)]
    cron = Fields(" ".join(fields), values, any(starred))
    if not cron.next(datetime(2024, 1, 1)):
        raise UsageError(f"--cron {expression!r} never fires: there is no such day.")
    return cron


def _interval(expression: str) -> Interval:
    """Read `@every 1h30m`: a duration as Go writes it, cut to whole seconds."""
    text = "".join(expression.split()[1:])
    if len(expression.split()) != 2 or not _DURATION.fullmatch(text):
        raise UsageError(f"--cron {expression!r}: after {_EVERY} stands one duration, such as 1h, 30m or 1h30m.")
    seconds = int(sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text)))
    if not 1 <= seconds <= _HORIZON_DAYS * 86_400:
        raise UsageError(f"--cron {expression!r}: the duration goes from a second to five years.")
    return Interval(f"{_EVERY} {text}", seconds)


def _range(part: str, title: str, low: int, high: int, names: dict[str, int], expression: str) -> frozenset[int]:
    """Return the values of one part of a field: `*`, `5`, `mon-fri`, `*/10`, `5/10`, `10-30/5`."""
    body, slash, step_text = part.partition("/")
    first, dash, last = body.partition("-")
    star = body in ("*", "?")
    bounds = [low, high] if star else [names.get(end.lower(), end) for end in ((first, last) if dash else (first,))]
    if not all(isinstance(end, int) or (end.isascii() and end.isdigit()) for end in bounds):
        raise UsageError(f"--cron {expression!r}: {part!r} is no {title}.")
    start = int(bounds[0])
    end = int(bounds[1]) if len(bounds) == 2 else (high if slash else start)
    if not low <= start <= end <= high:
        raise UsageError(f"--cron {expression!r}: {part!r} is no {title}; it goes from {low} to {high}.")
    if slash and not (step_text.isascii() and step_text.isdigit() and int(step_text) > 0):
        raise UsageError(f"--cron {expression!r}: the step of {part!r} must be a positive number.")
    return frozenset(range(start, end + 1, int(step_text) if slash else 1))
