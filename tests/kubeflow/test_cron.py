from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent0.errors import UsageError
from agent0.kubeflow.cron import parse_cron
from tests.kubeflow import robfig
from tests.support.reported_cases import reported_cases

NOON = datetime(2026, 2, 27, 12, 0, 0, tzinfo=UTC)  # a Friday


@pytest.mark.parametrize(
    ("expression", "firings"),
    [
        ("0 0 3 * * *", ["02-28 03:00:00", "03-01 03:00:00", "03-02 03:00:00"]),
        ("0 */20 * * * ?", ["02-27 12:20:00", "02-27 12:40:00", "02-27 13:00:00"]),
        ("15 30 9 * * mon-FRI", ["03-02 09:30:15", "03-03 09:30:15", "03-04 09:30:15"]),
        ("0 0 0 31 * *", ["03-31 00:00:00", "05-31 00:00:00", "07-31 00:00:00"]),
        ("0 0 0 1 * sun", ["03-01 00:00:00", "03-08 00:00:00", "03-15 00:00:00"]),  # either day, as neither is a star
        ("30/15 0 12 * * *", ["02-27 12:00:30", "02-27 12:00:45", "02-28 12:00:30"]),
        ("@every 1h30m", ["02-27 13:30:00", "02-27 15:00:00", "02-27 16:30:00"]),
        ("@daily", ["02-28 00:00:00", "03-01 00:00:00", "03-02 00:00:00"]),
    ],
)
def test_the_next_firings(expression: str, firings: list[str]) -> None:
    assert [f"{time:%m-%d %H:%M:%S}" for time in parse_cron(expression).next(NOON, 3)] == firings


def test_a_leap_day_is_found() -> None:
    assert parse_cron("0 0 0 29 feb *").next(NOON)[0].year == 2028


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        (
            "0 3 * * *",
            "has five fields; Kubeflow's have six, the first for the second. You probably mean '0 0 3 ",
        ),
        ("0 0 3", "has 3 fields, not six"),
        ("", "has 0 fields, not six"),
        ("0 0 24 * * *", "'24' is no hour; it goes from 0 to 23"),
        ("0 0 3 * * 7", "'7' is no day of the week; it goes from 0 to 6"),
        ("0 0 x * * *", "'x' is no hour"),
        ("0 0 5-3 * * *", "'5-3' is no hour"),
        ("*/0 * * * * *", "the step of '*/0' must be a positive number"),
        ("0 0 0 30 feb *", "never fires"),
        ("@reboot", "has 1 fields, not six"),
        ("@every 1", "after @every stands one duration"),
        ("@every -1h", "after @every stands one duration"),
        ("@every 500ms", "goes from a second to five years"),
    ],
)
def test_a_wrong_expression_is_one_sentence(expression: str, sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_cron(expression)
    assert sentence in str(error.value)


def test_what_people_reported_of_expressions_fires_as_the_server_would() -> None:
    for case in (case for case in reported_cases("kubeflow") if case["kind"] == "cron"):
        after = datetime.fromisoformat(case["input"]["after"])
        times = parse_cron(case["input"]["expression"]).next(after, case["input"]["count"])
        assert [time.isoformat() for time in times] == case["expected"], case["id"]


def fields(low: int, high: int, names: list[str]) -> st.SearchStrategy[str]:
    number = st.integers(low - 1, high + 1).map(str)
    end = st.one_of(number, st.sampled_from(names)) if names else number
    part = st.one_of(
        st.sampled_from(["*", "?"]),
        end,
        st.tuples(end, end).map("-".join),
        st.tuples(st.one_of(st.just("*"), end), st.integers(0, 9).map(str)).map("/".join),
    )
    return st.lists(part, min_size=1, max_size=3).map(",".join)


EXPRESSIONS = st.tuples(
    fields(0, 59, []),
    fields(0, 59, []),
    fields(0, 23, []),
    fields(1, 31, []),
    fields(1, 12, ["jan", "DEC"]),
    fields(0, 6, ["sun", "Sat"]),
).map(" ".join)


@given(EXPRESSIONS)
@settings(max_examples=200)
def test_what_the_command_line_takes_the_server_reads_in_the_same_way(expression: str) -> None:
    try:
        theirs = robfig.parse(expression)
    except robfig.CronError:
        with pytest.raises(UsageError):
            parse_cron(expression)
        return
    try:
        ours = parse_cron(expression)
    except UsageError as error:
        assert "never fires" in str(error)  # noqa: PT017  # the one thing that the server does not look at
        return
    assert [set(values) for values in ours.values] == theirs


@given(EXPRESSIONS, st.integers(0, 86_400 * 400))
@settings(max_examples=60)
def test_nothing_fires_between_two_firings(expression: str, offset: int) -> None:
    after = NOON + timedelta(seconds=offset)
    try:
        cron = parse_cron(expression)
    except UsageError:
        return
    first = cron.next(after)[0]
    seconds, minutes, hours, days, months, weekdays = cron.values

    def fits(time: datetime) -> bool:
        day, weekday = time.day in days, time.isoweekday() % 7 in weekdays
        clock = time.second in seconds and time.minute in minutes and time.hour in hours and time.month in months
        return clock and (day and weekday if cron.any_day else day or weekday)

    assert first > after
    assert fits(first)
    horizon = min(first, after + timedelta(hours=3))
    moment = after + timedelta(seconds=1)
    while moment < horizon:
        assert not fits(moment)
        moment += timedelta(seconds=1)
