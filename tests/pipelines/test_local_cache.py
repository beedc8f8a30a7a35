"""The cache of finished local tasks, under Kubeflow's own local runner."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kfp import components, dsl, local
from kfp.compiler import Compiler
from kfp.local import cache

from agent0.progress import ENVIRONMENT_VARIABLE, read_events
from agent0_kfp.pipelines.local_cache import intact_cache
from agent0_kfp.pipelines.local_evolution import kept_print_and_logger


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def write(seed: int, calls: str, written: dsl.Output[dsl.Dataset], number: dsl.OutputPath(int)):
    from pathlib import Path

    from agent0.storage.seal import seal

    folder = Path(written.path)
    folder.mkdir(parents=True)
    (folder / "tasks.txt").write_text(f"tasks of seed {seed}\n")
    seal(folder)
    Path(number).parent.mkdir(parents=True, exist_ok=True)
    Path(number).write_text("7")
    with Path(calls).open("a") as file:
        file.write("write\n")


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def read(calls: str, number: int, written: dsl.Input[dsl.Dataset], copied: dsl.Output[dsl.Dataset]):
    from pathlib import Path

    from agent0.storage.seal import intact_digest, seal

    intact_digest(Path(written.path))
    folder = Path(copied.path)
    folder.mkdir(parents=True)
    (folder / "tasks.txt").write_text((Path(written.path) / "tasks.txt").read_text() * number)
    seal(folder)
    with Path(calls).open("a") as file:
        file.write("read\n")


@dsl.pipeline(name="two-tasks")
def two_tasks(calls: str, seed: int = 1):
    first = write(seed=seed, calls=calls)
    read(calls=calls, number=first.outputs["number"], written=first.outputs["written"])


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[str]]]:
    """Run the pipeline once more; return which of its tasks were run."""
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path / "events"))
    Compiler().compile(two_tasks, str(tmp_path / "two.yaml"))
    calls = tmp_path / "calls"

    def once() -> list[str]:
        calls.write_text("")
        local.init(
            local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "artifacts"), raise_on_error=True
        )
        with intact_cache(tmp_path / "cache"):
            components.load_component_from_file(str(tmp_path / "two.yaml"))(calls=str(calls))
        return calls.read_text().split()

    with kept_print_and_logger():
        yield once


def warnings(folder: Path) -> list[str]:
    path = folder / "events"
    return [event["message"] for event in read_events(path.read_bytes())] if path.is_file() else []


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


@pytest.mark.parametrize(
    ("place", "again"), [("write/written", ["write"]), ("read/copied", ["read"])], ids=["first", "last"]
)
@pytest.mark.parametrize("damage", ["changed", "gone", "folder gone"])
def test_a_damaged_task_runs_again_and_what_followed_it_stays(
    place: str, again: list[str], damage: str, run: Callable[[], list[str]], tmp_path: Path
) -> None:
    original = cache.get_local_cache
    assert run() == ["write", "read"]
    assert run() == []
    folder = only(tmp_path, f"artifacts/*/{place}")
    if damage == "changed":
        (folder / "tasks.txt").write_text("tasks of seed 2\n")
    elif damage == "gone":
        (folder / "tasks.txt").unlink()
    else:
        shutil.rmtree(folder)
    assert run() == again
    told = warnings(tmp_path)
    if damage == "folder gone":  # somebody removed it to have it made again
        assert told == []
    else:
        assert len(told) == 1
        assert str(folder / "tasks.txt") in told[0]
        assert told[0].endswith("since its task finished; that task is run again.")
    assert run() == []
    assert cache.get_local_cache is original


def test_a_changed_entry_of_the_cache_is_not_believed(run: Callable[[], list[str]], tmp_path: Path) -> None:
    run()
    (entry,) = (path for path in (tmp_path / "cache").glob("*.json") if "number" in json.loads(path.read_text()))
    entry.write_text(json.dumps({**json.loads(entry.read_text()), "number": 8}))
    assert run() == ["write"]
    assert [str(entry) in sentence for sentence in warnings(tmp_path)] == [True]
    assert run() == []
