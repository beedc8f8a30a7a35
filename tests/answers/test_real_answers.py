import json
from pathlib import Path

import pytest

from agent0.answers import Grader, Verdict

DATA = Path(__file__).parents[2] / "../shared/data/gsm8k_model_solutions_100.jsonl"


@pytest.mark.skipif(not DATA.is_file(), reason="the sample of real model outputs is not beside this checkout")
def test_the_grader_agrees_with_the_published_labels_of_real_answers():
    pairs, labels = [], []
    for line in DATA.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        gold = row["ground_truth"].rsplit("A:", 1)[1].strip()
        for solution in (value for value in row.values() if isinstance(value, dict)):
            marked = "A:" in solution["solution"]
            answer = solution["solution"].rsplit("A:", 1)[1].strip() if marked else None
            pairs.append((gold, answer))
            labels.append(solution["is_correct"])
    with Grader() as grader:
        verdicts = grader.equivalent_many(pairs)
    disagreements = [
        pair for pair, verdict, label in zip(pairs, verdicts, labels, strict=True) if verdict.correct != label
    ]
    assert len(pairs) == 400
    assert disagreements == []
    assert set(verdicts) <= {Verdict.TRUE, Verdict.FALSE, Verdict.NO_ANSWER}
