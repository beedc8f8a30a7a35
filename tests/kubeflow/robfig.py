"""Cron expressions as robfig/cron 1.2 reads them, whose `Parse` the Kubeflow Pipelines server calls.

Written after that parser's rules and apart from the command line's own, so that each checks the other. The last field
is optional: five fields are accepted and read from the left, as second, minute, hour, day, month.
"""

from __future__ import annotations

DAYS = {"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}
MONTHS = {
    name: index + 1
    for index, name in enumerate(("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"))
}
BOUNDS = ((0, 59, {}), (0, 59, {}), (0, 23, {}), (1, 31, {}), (1, 12, MONTHS), (0, 6, DAYS))
DESCRIPTORS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")


class CronError(ValueError):
    """What the parser says about an expression."""


def parse(spec: str) -> list[set[int]]:
    """Return the values of the six fields; a descriptor gives none."""
    if not spec:
        raise CronError("Empty spec string")
    if spec.startswith("@"):
        if spec not in DESCRIPTORS and not spec.startswith("@every "):
            raise CronError(f"Unrecognized descriptor: {spec}")
        return []
    fields = spec.split()
    if not 5 <= len(fields) <= 6:
        raise CronError(f"Expected 5 to 6 fields, found {len(fields)}: {spec}")
    fields += ["*"] * (6 - len(fields))
    return [_field(text, *bounds) for text, bounds in zip(fields, BOUNDS, strict=True)]


def _field(text: str, low: int, high: int, names: dict[str, int]) -> set[int]:
    values: set[int] = set()
    for part in text.split(","):
        if part:
            values |= _range(part, low, high, names)
    return values


def _range(part: str, low: int, high: int, names: dict[str, int]) -> set[int]:
    range_and_step = part.split("/")
    ends = range_and_step[0].split("-")
    if ends[0] in ("*", "?"):
        start, end = low, high
    else:
        if len(ends) > 2:
            raise CronError(f"Too many hyphens: {part}")
        start, end = _number(ends[0], names), _number(ends[-1], names)
    step = 1
    if len(range_and_step) > 2:
        raise CronError(f"Too many slashes: {part}")
    if len(range_and_step) == 2:
        step = _number(range_and_step[1], {})
        if len(ends) == 1:
            end = high
    if start < low:
        raise CronError(f"Beginning of range ({start}) below minimum ({low}): {part}")
    if end > high:
        raise CronError(f"End of range ({end}) above maximum ({high}): {part}")
    if start > end:
        raise CronError(f"Beginning of range ({start}) beyond end of range ({end}): {part}")
    if step == 0:
        raise CronError(f"Step of range should be a positive number: {part}")
    return set(range(start, end + 1, step))


def _number(text: str, names: dict[str, int]) -> int:
    if text.lower() in names:
        return names[text.lower()]
    try:
        number = int(text)
    except ValueError:
        raise CronError(f"Failed to parse int from {text}") from None
    if number < 0:
        raise CronError(f"Negative number ({number}) not allowed: {text}")
    return number
