"""Running a compiled evolution on this machine, in a folder that a later call can resume.

The compiled YAML runs under Kubeflow's local subprocess runner with caching on, one process per task. The folder holds
everything: the configuration, the compiled pipeline, the artifacts, the cache, the log and the progress events.
"""

import builtins
import fcntl
import logging
import os
import shutil
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from dataclasses import asdict, replace
from pathlib import Path
from typing import TextIO

from kfp import components, local

from agent0 import progress
from agent0.child_processes import RUN_VARIABLE
from agent0.config import EMBEDDED_MODEL, Config, parse_section
from agent0.errors import Agent0Error, UsageError, explain, warn
from agent0.kubeflow.compile_options import LOCAL
from agent0.kubeflow.compiled_pipeline import read_package
from agent0.planning import check_devices
from agent0.report.history import HISTORY_FILE
from agent0.rollout.vllm_environment import visible_gpus
from agent0.stages.open_history import newest_history
from agent0.stages.opening import Beginning
from agent0.stages.stage_files import REPORT_FILE, SUMMARY_FILE
from agent0.storage import workspace
from agent0.storage.atomic_file import atomic_path
from agent0.storage.digest import code_version
from agent0.storage.manifest import file_sha256
from agent0.tracking.model_source import check_source
from agent0_kfp.pipelines.aftermath import ARTIFACTS_FOLDER, LOCK_FILE, followed, run_id_of
from agent0_kfp.pipelines.evolution import compile_evolution
from agent0_kfp.pipelines.local_cache import intact_cache
from agent0_kfp.pipelines.run_file import RUN_FILE, read_run, write_run
from agent0_kfp.pipelines.warm_template import warm_tasks

BASE = Beginning()
LOCK_SECONDS, FULL_BYTES = 3.0, 1 << 20
PIPELINE_FILE = "evolution.yaml"
PROGRESS_FILE = "progress.jsonl"
LOG_FILE = "log.txt"
CACHE_FOLDER = "cache"
WORKSPACE_FOLDER = "workspace"
PUBLISHED = (REPORT_FILE, SUMMARY_FILE, HISTORY_FILE)


class LocalEvolution:
    """An evolution in a folder of this machine.

    Args:
        folder: the run's folder; made by `create`, found by `resume`.
    """

    def __init__(
        self, folder: Path, config: Config, tracking_uri: str, code_version: str, beginning: Beginning = BASE
    ) -> None:
        self.folder = folder
        self.config = config
        self.tracking_uri = tracking_uri
        self.code_version = code_version
        self.beginning = beginning

    @classmethod
    def create(cls, folder: Path, config: Config, tracking_uri: str, beginning: Beginning = BASE) -> "LocalEvolution":
        """Start a new evolution in a folder that is empty or not there yet, from the base model or another beginning.

        Raises:
            UsageError: the folder holds something already, or the configuration needs GPUs that are not here.
            Agent0Error: there is no such model; see `check_source`.
        """
        if config.model.source != EMBEDDED_MODEL:
            check_devices(config, visible_gpus())
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            hint = "; go on with it by --resume, or" if (folder / RUN_FILE).is_file() else ";"
            raise UsageError(f"{folder} already holds another run or other files{hint} choose another --output.")
        if beginning == BASE:  # another beginning brings its own models
            check_source(config.model.source)
        if config.one_model:  # which was trained last as the executor
            beginning = replace(beginning, curriculum_model_uri=beginning.executor_model_uri)
        folder.mkdir(parents=True, exist_ok=True)
        compile_evolution(config, folder / PIPELINE_FILE, LOCAL)
        version = code_version()
        # Written last: a folder without it was never started.
        write_run(folder, config, tracking_uri, version, file_sha256(folder / PIPELINE_FILE), asdict(beginning))
        return cls(folder, config, tracking_uri, version, beginning)

    @classmethod
    def resume(cls, folder: Path) -> "LocalEvolution":
        """Find an evolution that was started in `folder`.

        Raises:
            UsageError: there is none, what it began with was changed, or it is the copy of a run that is still there.
        """
        run = read_run(folder)
        config, beginning = parse_section(Config, run["config"]), Beginning(**run.get("beginning", {}))
        found = cls(folder, config, run["tracking_uri"], run["code_version"], beginning)
        found._restore_pipeline(run["pipeline_sha256"])
        return found

    @property
    def progress_file(self) -> Path:
        """Where the stages append their progress events."""
        return self.folder / PROGRESS_FILE

    @property
    def stages(self) -> int:
        """How many stages the compiled pipeline runs, of all rounds together."""
        return sum(read_package(str(self.folder / PIPELINE_FILE)).expected_tasks.values())

    @property
    def _embedded(self) -> bool:
        """Whether the model is the embedded one, so small that a second thread only slows it."""
        return self.config.model.source == EMBEDDED_MODEL

    def run(self) -> None:
        """Run the compiled pipeline to its end; tasks that finished before are taken from the cache.

        Everything that the tasks and Kubeflow print goes to `log.txt`.

        Raises:
            Agent0Error: a stage failed; the message is the stage's own.
        """
        events_before = self.progress_file.stat().st_size if self.progress_file.is_file() else 0
        try:
            with (
                self._environment(),
                (self.folder / LOG_FILE).open("a", encoding="utf-8", buffering=1) as log,
                followed(self.folder, self.tracking_uri, log),
                self._locked(),
            ):
                try:
                    with _output_to(log), kept_print_and_logger(), warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        self._run_pipeline()
                finally:
                    self.publish()
        except (RuntimeError, OSError) as error:
            reason = self._last_error(events_before) or self._full() or explain(error)
            raise Agent0Error(
                f"{reason} (log: {self.folder / LOG_FILE}; with other settings, begin after its finished rounds: "
                f"agent0 evolve --from {self.folder} --output … --set …; go on with: agent0 evolve --output "
                f"{self.folder} --resume)"
            ) from error

    def publish(self) -> None:
        """Copy history, report and summary of the last finished iteration to the folder."""
        latest = newest_history(self.folder)
        if latest:
            for name in PUBLISHED:
                with atomic_path(self.folder / name) as temporary:
                    shutil.copyfile(latest / name, temporary)

    def _run_pipeline(self) -> None:
        local.init(
            runner=local.SubprocessRunner(use_venv=False),
            pipeline_root=str(self.folder / ARTIFACTS_FOLDER),
            raise_on_error=True,
        )
        warm = warm_tasks() if self._embedded or not visible_gpus() else nullcontext()
        with intact_cache(self.folder / CACHE_FOLDER), warm:
            components.load_component_from_file(str(self.folder / PIPELINE_FILE))(
                code_version=self.code_version,
                mlflow_run_id=run_id_of(self.folder),
                start_iteration=self.beginning.iteration,
                curriculum_model_uri=self.beginning.curriculum_model_uri,
                executor_model_uri=self.beginning.executor_model_uri,
                history_uri=self.beginning.history_uri,
            )

    def _restore_pipeline(self, sha256: str) -> None:
        """See that the compiled pipeline is the run's own, and compile it again if it is not."""
        path = self.folder / PIPELINE_FILE
        if path.is_file() and file_sha256(path) == sha256:
            return
        compile_evolution(self.config, path, LOCAL)
        if file_sha256(path) != sha256:
            raise UsageError(
                f"{path} was changed or damaged since the run began with version {self.code_version}, and this version "
                "compiles another; install that one to go on, or start another run in another --output."
            )
        warn(f"{path} was changed or damaged since the run began; it was compiled again from {RUN_FILE}.")

    def _full(self) -> str:
        """Say that the disk is full, if it is: a task cannot when it has no room to."""
        free = shutil.disk_usage(self.folder).free
        return f"The disk of {self.folder} is full; free space." if free < FULL_BYTES else ""

    def _last_error(self, offset: int) -> str | None:
        if not self.progress_file.is_file():
            return None
        with self.progress_file.open("rb") as file:
            file.seek(offset)
            events = list(progress.read_events(file.read()))
        return next((progress.plain_line(event) for event in reversed(events) if event["kind"] == "error"), None)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        deadline = time.monotonic() + LOCK_SECONDS
        with (self.folder / LOCK_FILE).open("w") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError as error:  # it may be the follower of a killed run, about to end
                    if time.monotonic() > deadline:
                        raise UsageError(
                            f"Another process is running the evolution in {self.folder}; wait for it or end it."
                        ) from error
                    time.sleep(0.1)
            yield

    @contextmanager
    def _environment(self) -> Iterator[None]:
        """Set what the tasks' processes need: tracking, progress, one thread each for the embedded model."""
        before = dict(os.environ)
        os.environ.update(
            {
                RUN_VARIABLE: str(os.getpid()),
                progress.ENVIRONMENT_VARIABLE: str(self.progress_file.resolve()),
                workspace.ENVIRONMENT_VARIABLE: str((self.folder / WORKSPACE_FOLDER).resolve()),
                "MLFLOW_TRACKING_URI": self.tracking_uri,
                "MLFLOW_DISABLE_TELEMETRY": "true",
                "TOKENIZERS_PARALLELISM": "false",
                "PYTHONWARNINGS": "ignore",
            }
        )
        if self._embedded:
            os.environ.setdefault("OMP_NUM_THREADS", "1")
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


@contextmanager
def _output_to(log: TextIO) -> Iterator[None]:
    """Send standard output and error to `log` for the length of the block, also where a notebook has replaced them."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    try:
        with redirect_stdout(log), redirect_stderr(log):
            yield
    finally:
        for target, source in zip((1, 2), saved, strict=True):
            os.dup2(source, target)
            os.close(source)


@contextmanager
def kept_print_and_logger() -> Iterator[None]:
    """Give `print` and the root logger back as they were before the block.

    Kubeflow's runner replaces both while a task runs, and tasks that run at once put back each other's.
    """
    root = logging.getLogger()
    original, level, handlers = builtins.print, root.level, root.handlers[:]
    try:
        yield
    finally:
        builtins.print = original
        root.setLevel(level)
        root.handlers[:] = handlers
