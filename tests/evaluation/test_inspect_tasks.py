"""The bridge into inspect_ai: its own scheduler, logs and retries over our samples."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agent0.cli.main import app
from agent0.errors import Agent0Error, UsageError
from agent0.rollout.scripted import ScriptedBackend

# Imported where it is used, since every process that collects tests imports this file, and the package takes seconds.
pytestmark = pytest.mark.skipif(not find_spec("inspect_ai"), reason="the extra inspect is not installed")

PROGRAM = "```python\nprint(6 * 7)\n```\n"
UNLIKE = {"timestamp": True, "model": True, "span_id": True, "working_start": True, "output": {"model"}}
QUESTIONS = {"questions_per_level": 2, "samples": 3}


@pytest.fixture
def model(random_model: Any, tokenizer: Any, tmp_path: Path) -> Path:
    random_model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def script(monkeypatch: pytest.MonkeyPatch, write: Callable[[str], str], concurrency: int | None) -> None:
    @contextmanager
    def scripted(folder: Path, tokenizer: Any, *_: Any, **__: Any) -> Iterator[ScriptedBackend]:
        yield ScriptedBackend(tokenizer, write, concurrency)

    for place in ("agent0.rollout.backends", "agent0.evaluation.local_evaluation"):
        monkeypatch.setattr(f"{place}.open_backend", scripted)


def by_inspect(
    model: Path,
    folder: Path,
    overrides: list[str],
    time_limit: int | None = None,
    limit: int | None = None,
    **task_args: Any,
) -> Any:
    import inspect_ai

    [log] = inspect_ai.eval(
        "agent0/tiny",
        model=f"agent0/{model}",
        model_args={"overrides": overrides},
        task_args={**QUESTIONS, **task_args},
        log_dir=str(folder),
        display="none",
        time_limit=time_limit,
        limit=limit,
    )
    return log


def by_evaluate(model: Path, folder: Path, overrides: list[str], **fields: Any) -> Path:
    settings = [*overrides, *(f"evaluation.{name}={json.dumps(value)}" for name, value in (QUESTIONS | fields).items())]
    given = [argument for setting in settings for argument in ("--set", setting)]
    done = CliRunner().invoke(app, ["evaluate", "--model", str(model), "--output", str(folder), "--seed", "5", *given])
    assert done.exit_code == 0, done.output
    return folder


@pytest.mark.parametrize("write", [None, lambda text: "so \\boxed{42}" if "42\n```" in text else PROGRAM])
def test_samples_and_verdicts_are_those_of_agent0_evaluate(
    write: Callable[[str], str] | None, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inspect_ai.log import read_eval_log

    if write:
        script(monkeypatch, write, 4)
    overrides = ["rollout.batch_size=8", "rollout.max_response_tokens=120", "sandbox.preload=[]"]
    log = by_inspect(model, tmp_path / "inspect", overrides, seed=5)
    assert log.status == "success", log.error
    log = read_eval_log(log.location, resolve_attachments="full")
    folder = by_evaluate(model, tmp_path / "evaluate", overrides)
    ours = read_eval_log(str(folder / "logs" / "tiny.eval"))
    expected = {(sample.id, sample.epoch): sample for sample in ours.samples}
    assert len(expected) == 30
    assert len({sample.output.completion for sample in ours.samples}) == (1 if write else 30)
    assert {(sample.id, sample.epoch) for sample in log.samples} == set(expected)
    for sample in log.samples:
        same = expected[sample.id, sample.epoch]
        assert sample.messages == same.messages
        assert sample.input == same.input
        assert sample.output.completion == same.output.completion
        assert sample.metadata == same.metadata  # with the seed
        found = [event for event in sample.events if event.event in ("model", "tool")]
        assert write is None or [event.event for event in found] == ["model", "tool", "model"]
        for event, other in zip(found, same.events, strict=True):
            assert event.model_dump(exclude=UNLIKE) == other.model_dump(exclude=UNLIKE)
        verdict, known = sample.scores["rule"], same.scores["rule"]
        assert (verdict.value, verdict.answer, verdict.explanation) == (known.value, known.answer, known.explanation)
        assert sample.model_usage[f"agent0/{model}"].output_tokens == same.model_usage["agent0/model"].output_tokens
    metrics = {name: metric.value for name, metric in log.results.scores[0].metrics.items()}
    assert metrics["mean"] == pytest.approx(ours.results.scores[0].metrics["score"].value)
    assert set(metrics) == {"mean", "stderr"}


@pytest.mark.parametrize("concurrency", [None, 2])
def test_what_broke_off_is_retried_and_finished_samples_are_kept(
    concurrency: int | None, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import inspect_ai

    asked = 0

    def write(text: str) -> str:
        nonlocal asked
        asked += 1
        if asked == 20:
            raise Agent0Error("the machine is gone")
        return "\\boxed{1}"

    script(monkeypatch, write, concurrency)
    overrides = ["rollout.batch_size=4", "evaluation.tool=false"]
    broken = by_inspect(model, tmp_path / "logs", overrides)
    assert broken.status == "error"
    assert "the machine is gone" in broken.error.message
    finished = {sample.uuid for sample in broken.samples if sample.scores}
    assert len(finished) >= 16
    before = asked
    [log] = inspect_ai.eval_retry(broken, log_dir=str(tmp_path / "logs"), display="none")
    assert log.status == "success", log.error
    assert len(log.samples) == 30
    assert finished <= {sample.uuid for sample in log.samples}
    assert asked - before <= 30 - len(finished) + 3  # a window that was interrupted is drawn as a whole


def test_a_finished_log_is_judged_again_without_the_run_that_made_it(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inspect_ai.log import read_eval_log

    script(monkeypatch, lambda text: "\\boxed{42}", None)
    log = by_inspect(model, tmp_path / "logs", ["evaluation.tool=false"])
    assert log.status == "success", log.error
    again = tmp_path / "again.eval"
    command = ["score", log.location, "--action", "append", "--output-file", str(again), "--display", "none"]
    command += ["--scorer", "agent0/rule", "-S", "name=tiny", "-S", "preset=paper"]
    done = subprocess.run([sys.executable, "-m", "inspect_ai", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    first = read_eval_log(log.location)
    known = {(sample.id, sample.epoch): sample.scores["rule"] for sample in first.samples}
    assert {score.explanation for score in known.values()} <= {"correct", "wrong"}
    for sample in read_eval_log(str(again)).samples:
        [other] = [score for name, score in sample.scores.items() if name != "rule"]
        same = known[sample.id, sample.epoch]
        assert (other.value, other.answer, other.explanation) == (same.value, same.answer, same.explanation)


def test_a_sample_that_is_ended_before_its_time_is_wrong_and_says_why(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: Any) -> None:
        await asyncio.sleep(600)

    monkeypatch.setattr("agent0.inspect.trajectory_scheduler.Drawer.trajectory", never)
    log = by_inspect(model, tmp_path, ["evaluation.tool=false"], time_limit=1, limit=2)
    assert log.status == "success", log.error
    verdicts = [sample.scores["rule"] for sample in log.samples]
    assert {(verdict.value, verdict.explanation) for verdict in verdicts} == {
        ("I", "The sample was ended before its trajectory was drawn.")
    }


def test_a_task_of_somebody_else_gets_one_turn_of_the_model(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import inspect_ai
    from inspect_ai.dataset import Sample
    from inspect_ai.model import GenerateConfig
    from inspect_ai.scorer import includes
    from inspect_ai.solver import generate, use_tools
    from inspect_ai.tool import python

    script(monkeypatch, lambda text: "an echo" if "say it" in text else "nothing", None)
    samples = [Sample(input=f"say it {number}", target="echo") for number in range(3)]
    theirs = inspect_ai.Task(samples, solver=generate(), scorer=includes(), config=GenerateConfig(max_tokens=9))
    given = {"model": f"agent0/{model}", "log_dir": str(tmp_path / "logs"), "display": "none"}
    [log] = inspect_ai.eval(theirs, **given)
    assert log.status == "success", log.error
    assert {sample.output.completion for sample in log.samples} == {"an echo"}
    assert {sample.output.stop_reason for sample in log.samples} == {"stop"}
    [refused] = inspect_ai.eval(inspect_ai.Task(samples, solver=[use_tools(python()), generate()]), **given)
    assert "run a task of agent0" in refused.error.message


def test_a_model_serves_one_event_loop_after_another(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from inspect_ai.model import ChatMessageUser, GenerateConfig

    from agent0 import inspect as bridge

    script(monkeypatch, lambda text: "an echo", 1)
    api = bridge.Agent0Model(str(model))

    async def both() -> list[str]:
        configs = [GenerateConfig(temperature=temperature, max_tokens=9) for temperature in (0.5, 1.0)]
        asked = [api.generate([ChatMessageUser(content="say it")], [], "none", config) for config in configs]
        return [output.completion for output in await asyncio.gather(*asked)]

    assert [asyncio.run(both()) for _ in range(2)] == [["an echo"] * 2] * 2


def test_options_that_no_backend_serves_are_refused(model: Path) -> None:
    from inspect_ai.model import ChatMessageUser, GenerateConfig

    from agent0 import inspect as bridge

    api = bridge.Agent0Model(str(model))
    config = GenerateConfig(num_choices=2, logprobs=True, frequency_penalty=0.5, presence_penalty=0.0, best_of=1)
    with pytest.raises(UsageError, match="do not know frequency_penalty, logprobs, num_choices; leave"):
        asyncio.run(api.generate([ChatMessageUser(content="say it")], [], "none", config))


def test_what_cannot_run_is_said_before_a_sample_is_drawn(model: Path, tmp_path: Path) -> None:
    import inspect_ai

    with pytest.raises(UsageError, match="add --model agent0/MODEL"):
        inspect_ai.eval("agent0/tiny", model="mockllm/model", log_dir=str(tmp_path), display="none")
    with pytest.raises(UsageError, match="presets"):
        by_inspect(model, tmp_path, [], presets="paper")


def test_inspect_ai_finds_tasks_and_provider_through_the_entry_point() -> None:
    from agent0 import inspect as bridge

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["inspect_ai"] == {"agent0": bridge.__name__}
    assert len(bridge.TASKS) == 13
