"""A teacher in the curriculum agent's place through the whole loop: killed while it is asked, and resumed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from chat_endpoint import reply, serving
from metric_dictionary import unknown
from mlflow.tracking import MlflowClient
from short_evolution import agent0, arguments_of, command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
PROPOSALS = 48


def teaches(body: dict[str, Any]) -> tuple[int, Any]:
    """Some exercise of two or three operands, by the request's seed."""
    first, second, third = body["seed"] % 89 + 10, body["seed"] // 89 % 89 + 10, body["seed"] % 7 + 2
    return 200, reply(f"<question>What is {first}+{second}*{third}?</question>", 100, 10)


def test_a_taught_evolution_goes_on_where_its_teacher_went_away_and_reports_what_it_cost(
    tmp_path: Path, model_cache: Path, empty_store: Path
) -> None:
    store = f"sqlite:///{shutil.copy(empty_store, tmp_path)}"
    environment = {**os.environ, "AGENT0_CACHE": str(model_cache), "MLFLOW_TRACKING_URI": store}
    output = tmp_path / "run"
    with serving() as teacher:
        settings = ["curriculum.steps=0", f"generation.teacher.url={teacher.url}", "generation.teacher.model=t"]
        settings += ["generation.teacher.max_failed_consistency=1", "generation.teacher.completion_price=100"]
        paid: list[str] = []

        def answer(body: dict[str, Any]) -> tuple[int, Any]:
            if len(paid) >= credit:
                return 402, "no credit left"
            paid.append(body["messages"][1]["content"])
            return teaches(body)

        teacher.answer, credit = answer, 60
        first = [*command(output), *arguments_of(settings)]
        broken = subprocess.run(first, capture_output=True, text=True, env=environment, check=False)
        assert broken.returncode == 1
        assert "refused with 402: no credit left" in broken.stderr
        credit = 1000
        again = agent0("evolve", "--output", str(output), "--resume")
        done = subprocess.run(again, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stderr
    assert len(paid) == 2 * PROPOSALS, "nothing is asked for twice"
    assert set(paid[:PROPOSALS]) == {"Write one new exercise."}
    assert all("A student tried these tasks" in prompt for prompt in paid[PROPOSALS:])
    summary = json.loads((output / "summary.json").read_text())
    cost = {"replies": 48.0, "prompt_tokens": 4800.0, "completion_tokens": 480.0, "cost": 0.048}
    assert [record["proposals"]["teacher"] for record in summary["iterations"][1:]] == [cost, cost]
    assert "A teacher proposed: 96 replies of 960 tokens" in (output / "report.html").read_text()
    run = MlflowClient(store).get_run(summary["mlflow_run_id"])
    assert run.data.metrics["tasks/teacher_cost"] == pytest.approx(0.048)
    assert unknown(set(run.data.metrics)) == []
