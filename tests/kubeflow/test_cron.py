from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent0.errors import UsageError
from agent0.kubeflow.cron import check_fields, next_firings, values
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
    assert [f"{time:%m-%d %H:%M:%S}" for time in next_firings(expression, NOON, 3)] == firings


@pytest.mark.parametrize(
    ("expression", "seconds"), [("@every 1h30m", 5400), ("@every 90s", 90), ("@every 1.5h", 5400), ("@every 500ms", 1)]
)
def test_an_interval_is_at_least_a_second(expression: str, seconds: int) -> None:
    assert next_firings(expression, NOON) == [NOON + timedelta(seconds=seconds)]


def test_a_day_that_there_is_not_never_comes() -> None:
    assert next_firings("0 0 0 30 feb *", NOON) == []


def test_a_leap_day_is_found() -> None:
    assert next_firings("0 0 0 29 feb *", NOON)[0].year == 2028


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        (
            "0 3 * * *",
            "has five fields; Kubeflow's have six, the first for the second. You probably mean '0 0 3 ",
        ),
        ("0 0 3", "has 3 fields, not six"),
        ("", "has 0 fields, not six"),
    ],
)
def test_a_wrong_count_of_fields_is_one_sentence(expression: str, sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        check_fields(expression)
    assert sentence in str(error.value)


def test_what_people_reported_of_expressions_fires_as_the_server_would() -> None:
    for case in (case for case in reported_cases("kubeflow") if case["kind"] == "cron"):
        after = datetime.fromisoformat(case["input"]["after"])
        times = next_firings(case["input"]["expression"], after, case["input"]["count"])
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
def test_what_the_server_takes_is_read_in_the_same_way(expression: str) -> None:
    check_fields(expression)
    try:
        theirs = robfig.parse(expression)
    except robfig.CronError:
        return
    assert values(expression) == theirs


@given(EXPRESSIONS, st.integers(0, 86_400 * 400))
@settings(max_examples=60)
def test_nothing_fires_between_two_firings(expression: str, offset: int) -> None:
    after = NOON + timedelta(seconds=offset)
    try:
        seconds, minutes, hours, days, months, weekdays = robfig.parse(expression)
    except robfig.CronError:
        return
    starred = any(part[:1] in ("*", "?") for index in (3, 5) for part in expression.split()[index].split(","))
    firings = next_firings(expression, after)
    first = firings[0] if firings else after + timedelta(days=1)

    def fits(time: datetime) -> bool:
        day, weekday = time.day in days, time.isoweekday() % 7 in weekdays
        clock = time.second in seconds and time.minute in minutes and time.hour in hours and time.month in months
        return clock and (day and weekday if starred else day or weekday)

    assert first > after
    assert fits(first) == bool(firings)
    horizon = min(first, after + timedelta(hours=3))
    moment = after + timedelta(seconds=1)
    while moment < horizon:
        assert not fits(moment)
        moment += timedelta(seconds=1)
