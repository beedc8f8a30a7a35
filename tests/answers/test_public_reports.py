"""What users reported about grading, voting and extraction, read as data where the reports are beside the checkout."""

import json

import pytest
from custom_resources import reference

from agent0.answers import Grader, extract_boxed
from agent0.answers.vote import vote


def reports(area):
    rows = map(json.loads, reference("../cases/public_reports.jsonl").read_text(encoding="utf-8").splitlines())
    return [row for row in rows if row["area"] == area]


@pytest.fixture(scope="module")
def grader():
    with Grader(workers=1, seconds=20) as shared:
        yield shared


def test_each_reported_pair_has_the_verdict_that_it_should_have(grader):
    rows = reports("grading")
    verdicts = grader.equivalent_many((row["input"]["gold"], row["input"]["answer"]) for row in rows)
    wrong = [row for row, verdict in zip(rows, verdicts, strict=True) if verdict.correct != row["expected"]]
    assert rows
    assert wrong == []


def test_each_reported_vote_has_its_count_and_clusters(grader):
    rows = reports("vote")
    results = [vote(row["input"]["answers"], grader) for row in rows]
    wrong = [row for row, found in zip(rows, results, strict=True) if [found.count, found.clusters] != row["expected"]]
    assert rows
    assert wrong == []


def test_each_reported_text_gives_its_answer():
    rows = reports("extraction")
    assert rows
    assert [row for row in rows if extract_boxed(row["input"]["text"]) != row["expected"]] == []
