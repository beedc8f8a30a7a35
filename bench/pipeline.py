"""What do pipelines cost? Compiling ten rounds, and Kubeflow's local runner against calling the stages directly.

    python bench/pipeline.py [--check]

The same short evolution (one round, embedded model) runs once compiled, one process per task, and once with its
components' functions called one after another in a single process; both start cold and track to SQLite. The difference
divided by the tasks is a task's overhead. With --check it exits with 1 if compiling takes more than 3 s or the overhead
is more than 1 s per task.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from agent0.config import WIRE, Config, load_config

COMPILE_BAR, TASK_BAR = 3.0, 1.0
ITERATIONS = 10
SHORT = (
    "iterations=1",
    "model.tiny.steps=260",
    "model.tiny.hidden_size=64",
    "model.tiny.direct_share=0.1",
    "curriculum.steps=1",
    "curriculum.executor_samples=4",
    "generation.proposals=40",
    "execution.samples=4",
    "execution.probe_tasks=6",
    "filtering.min_self_consistency=0.0",
    "filtering.max_self_consistency=1.0",
    "executor.steps=1",
    "evaluation.questions_per_level=4",
    "evaluation.samples=2",
)


def main() -> int:
    """Print both measurements; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit with 1 where a bar is missed")
    parser.add_argument("--direct", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--compiled", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    config = load_config("tiny", SHORT)
    if arguments.direct:
        print(call_stages(arguments.direct, config))
        return 0
    if arguments.compiled:
        run_compiled(arguments.compiled, config)
        return 0
    compiling = compile_seconds()
    direct, compiled, tasks = run_seconds()
    overhead = (compiled - direct) / tasks
    table = Table(title="Pipelines")
    for column in ("", "seconds", "bar"):
        table.add_column(column, justify="right" if column else "left")
    table.add_row(f"compile an evolution of {ITERATIONS} rounds", f"{compiling:.2f}", f"{COMPILE_BAR:.0f}")
    table.add_row(f"stages called directly, {tasks} tasks", f"{direct:.1f}", "")
    table.add_row("the same compiled, local runner", f"{compiled:.1f}", "")
    table.add_row("overhead per task", f"{overhead:.2f}", f"{TASK_BAR:.0f}")
    Console().print(table)
    passed = compiling <= COMPILE_BAR and overhead <= TASK_BAR
    print("bars: " + ("met" if passed else "missed"))
    return int(arguments.check and not passed)


def compile_seconds() -> float:
    """Return the seconds of compiling, without importing kfp."""
    from agent0.kubeflow.compile_options import CompileOptions
    from agent0_kfp.pipelines.evolution import compile_evolution

    config = load_config("qwen3-8b", [f"iterations={ITERATIONS}"])
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        compile_evolution(config, Path(folder) / "evolution.yaml", CompileOptions(gpus=8))
        return time.perf_counter() - began


def run_seconds() -> tuple[float, float, int]:
    """Return the seconds of the stages called directly, of the compiled pipeline, and the number of tasks."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _timed(folder, "warm-up")  # trains the base model, which both find in the cache
        direct, printed = _timed(folder, "direct")
        compiled, _ = _timed(folder, "compiled")
    return direct, compiled, int(printed.split()[-1])


def _timed(folder: Path, name: str) -> tuple[float, str]:
    own = folder / name
    own.mkdir()
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": f"sqlite:///{own / 'mlflow.db'}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "AGENT0_CACHE": str(folder / "cache"),
        "AGENT0_WORKSPACE": str(own / "workspace"),
        "AGENT0_PROGRESS": str(own / "progress.jsonl"),
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    way = "--compiled" if name == "compiled" else "--direct"
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, way, str(own)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"The run '{name}' failed:\n{done.stdout[-2000:]}{done.stderr[-3000:]}")
    return seconds, done.stdout


def run_compiled(folder: Path, config: Config) -> None:
    """Run the evolution as `agent0 evolve` does."""
    from kfp import components, local

    from agent0.kubeflow.compile_options import LOCAL
    from agent0_kfp.pipelines.evolution import compile_evolution
    from agent0_kfp.pipelines.warm_template import warm_tasks

    compile_evolution(config, folder / "evolution.yaml", LOCAL)
    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=str(folder / "artifacts"),
        enable_caching=True,
        cache_root=str(folder / "cache"),
    )
    with warm_tasks():
        components.load_component_from_file(str(folder / "evolution.yaml"))()


def call_stages(folder: Path, config: Config) -> int:
    """Call the functions of the evolution's components in their order; return how many there were."""
    from kfp import dsl

    from agent0_kfp.pipelines.evolution import FUNCTIONS

    functions = {function.__name__: function for function in FUNCTIONS}
    settings = config.model_dump(mode="json")
    calls = 0

    def artifact(name: str, kind: type[dsl.Artifact] = dsl.Artifact) -> Any:
        return kind(name=name, uri=str(folder / f"{calls}-{name}"))

    def call(name: str, output: str, **given: Any) -> Any:
        nonlocal calls
        calls += 1
        made = artifact(output)
        metrics = {} if name in ("prepare", "closing") else {"metrics": artifact("metrics", dsl.Metrics)}
        functions[name](**given, **metrics, **{output: made})
        return made

    opening: Callable[..., str] = functions["opening"]
    sections = {name: settings[name] for name in Config.model_fields if name in signature(opening).parameters}
    begun = {"start_iteration": 1, "history_uri": ""}
    models = {"curriculum_model_uri": "", "executor_model_uri": ""}
    checked = folder / "config.json"
    run_id = opening(
        **sections,
        **begun,
        **models,
        code_version="",
        mlflow_run_id="",
        job="direct",
        compiled_with={},
        graph={"with_warm_start": False, "wire": WIRE},
        config=str(checked),
    )
    calls += 1
    run: dict[str, Any] = {"config": json.loads(checked.read_text()), "mlflow_run_id": run_id}
    history = call("prepare", "history", **run, **begun)
    base = call("base_model", "base", **run)
    base_scores = call("base_evaluation", "scores", **run, known_from="", base=base)
    proposer, solver = (
        call("starting_agent", "agent", **run, role=role, uri="", base=base) for role in ("curriculum", "executor")
    )
    run["iteration"] = 1
    trained = {"image": "", "task_config": dsl.TaskConfig(), **run}
    agents = {"curriculum_model": proposer, "executor_model": solver}
    curriculum = call("curriculum_training", "trained", **trained, **agents)
    tasks = call("task_generation", "tasks", **run, curriculum_model=curriculum, executor_model=solver)
    votes = {"executor_model": solver, "first_executor_model": base, "trajectories": artifact("trajectories")}
    labelled = call("sandboxed_execution", "labelled", **run, **votes, tasks=tasks)
    kept = call("task_filtering", "kept", **run, labelled=labelled)
    executor = call("executor_training", "trained", **trained, executor_model=solver, tasks=kept)
    call(
        "iteration_report",
        "grown",
        **run,
        history=history,
        base_evaluation=base_scores,
        evaluation=call("benchmark_evaluation", "scores", **run, executor_model=executor),
        curriculum_model=curriculum,
        tasks=tasks,
        labelled=labelled,
        kept=kept,
        executor_model=executor,
    )
    status = dsl.PipelineTaskFinalStatus("SUCCEEDED", "direct", "iteration_report", None, None)
    call("closing", "report", tracking=settings["tracking"], job="direct", status=status)
    return calls


if __name__ == "__main__":
    sys.exit(main())
