"""What users reported about grading, voting and extraction, read as data where the reports are beside the checkout."""

from agent0.answers import extract_boxed
from agent0.answers.vote import vote
from tests.support.reported_cases import reported_cases


def test_each_reported_pair_has_the_verdict_that_it_should_have(grader):
    rows = reported_cases("grading")
    verdicts = grader.equivalent_many((row["input"]["gold"], row["input"]["answer"]) for row in rows)
    wrong = [row for row, verdict in zip(rows, verdicts, strict=True) if verdict.correct != row["expected"]]
    assert rows
    assert wrong == []


def test_each_reported_vote_has_its_count_and_clusters(grader):
    rows = reported_cases("vote")
    results = [vote(row["input"]["answers"], grader) for row in rows]
    wrong = [row for row, found in zip(rows, results, strict=True) if [found.count, found.clusters] != row["expected"]]
    assert rows
    assert wrong == []


def test_each_reported_text_gives_its_answer():
    rows = reported_cases("extraction")
    assert rows
    assert [row for row in rows if extract_boxed(row["input"]["text"]) != row["expected"]] == []
