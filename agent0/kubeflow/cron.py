"""Cron expressions of Kubeflow: six fields, the first of which is the second, or `@every 1h`; the server judges them.

The library that the server uses (robfig/cron 1.2) also takes five fields, and reads them from the left: `0 3 * * *`,
meant as three in the morning, fires at the third minute of every hour. So fields are counted before anything is sent.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice, product

from agent0.errors import UsageError

_NAMES = {name.lower(): str(number) for number, name in enumerate(calendar.month_abbr) if name} | {
    name.lower(): str((number + 1) % 7) for number, name in enumerate(calendar.day_abbr)
}
_BOUNDS = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_DESCRIPTORS = {
    "@yearly": "0 0 0 1 1 *",
    "@annually": "0 0 0 1 1 *",
    "@monthly": "0 0 0 1 * *",
    "@weekly": "0 0 0 * * 0",
    "@daily": "0 0 0 * * *",
    "@midnight": "0 0 0 * * *",
    "@hourly": "0 0 * * * *",
}
_PART = re.compile(r"([0-9.]+)([a-zµμ]+)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0}
_HORIZON_DAYS = 366 * 5


def check_fields(expression: str) -> None:
    """Check that an expression has six fields, or is none of fields.

    Raises:
        UsageError: it has another number; of five the sentence has the six-field form.
    """
    fields = expression.split()
    if expression.startswith("@") or len(fields) == 6:
        return
    if len(fields) == 5:
        raise UsageError(
            f"--cron {expression!r} has five fields; Kubeflow's have six, the first for the second. You probably mean "
            f"'0 {' '.join(fields)}'."
        )
    raise UsageError(
        f"--cron {expression!r} has {len(fields)} fields, not six: second, minute, hour, day of the month, month, "
        "day of the week; '0 0 3 * * *' is three o'clock every day."
    )


def next_firings(expression: str, after: datetime, count: int = 1) -> list[datetime]:
    """Return when an expression that a server has taken fires next; none where no day of five years fits."""
    return list(islice(_firings(expression, after.replace(microsecond=0)), count))


def _firings(expression: str, after: datetime) -> Iterator[datetime]:
    if expression.startswith("@every "):
        length = sum(float(number) * _SECONDS.get(unit, 0.0) for number, unit in _PART.findall(expression))
        while True:
            after += timedelta(seconds=max(1, int(length)))
            yield after
    fields = _DESCRIPTORS.get(expression, expression).split()
    allowed = values(expression)
    _, _, _, days, months, weekdays = allowed
    starred = any(part[:1] in ("*", "?") for field in (fields[3], fields[5]) for part in field.split(",") if part)
    for number in range(_HORIZON_DAYS):
        day = after.replace(hour=0, minute=0, second=0) + timedelta(days=number)
        fits = (day.day in days, day.isoweekday() % 7 in weekdays)
        if day.month in months and (all(fits) if starred else any(fits)):
            for hour, minute, second in product(*(sorted(field) for field in allowed[2::-1])):
                moment = day.replace(hour=hour, minute=minute, second=second)
                if moment > after:
                    yield moment


def values(expression: str) -> list[set[int]]:
    """Return the values of each of the six fields of an expression that a server has taken."""
    fields = _DESCRIPTORS.get(expression, expression).split()
    return [
        {value for part in field.split(",") if part for value in _range(part.lower(), low, high)}
        for field, (low, high) in zip(fields, _BOUNDS, strict=True)
    ]


def _range(part: str, low: int, high: int) -> range:
    """Return the values of one part of a field: `*`, `5`, `mon-fri`, `*/10`, `5/10`, `10-30/5`."""
    body, _, step = part.partition("/")
    first, _, last = body.partition("-")
    if first in ("*", "?"):
        return range(low, high + 1, int(step or 1))
    start = int(_NAMES.get(first, first))
    end = int(_NAMES.get(last, last)) if last else high if step else start
    return range(start, end + 1, int(step or 1))
