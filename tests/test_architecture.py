"""The house keeps its shape: what may import what, and what an import costs."""

from __future__ import annotations

import ast
import itertools
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from agent0.domains import domain_names

ROOT = Path(__file__).parents[1]
LIGHT = (
    "agent0",
    "agent0.config",
    "agent0.types",
    "agent0.cli.main",
    "agent0.stages",
    "agent0.answers",
    "agent0.sandbox",
)
HEAVY = ("torch", "kfp", "kfp_server_api", "mlflow", "transformers", "trl", "sympy", "matplotlib", "inspect_ai")

FORBIDDEN = {
    "agent0/config": ("agent0.domains", "agent0.rollout", "agent0.stages", "agent0.training"),
    "agent0/protocol.py": ("agent0.domains", "agent0.rollout", "agent0.stages", "agent0.training"),
    "agent0/rewards": ("agent0.domains", "agent0.rollout", "agent0.training", "agent0.stages", "torch", "transformers"),
    "agent0/answers": ("agent0.domains", "agent0.rollout", "agent0.training", "agent0.stages", "torch"),
    "agent0/sandbox": ("agent0.domains", "agent0.rollout", "agent0.training", "agent0.stages", "torch"),
    "agent0/storage": ("agent0.domains", "agent0.rollout", "agent0.training", "agent0.stages", "torch"),
    "agent0/tracking": ("agent0.domains", "agent0.training", "agent0.stages"),
    "agent0/rollout": ("agent0.training", "agent0.stages", "agent0.rewards", "agent0.evaluation", "kfp", "mlflow"),
    "agent0/training": ("agent0.stages", "agent0.evaluation", "kfp", "mlflow"),
    "agent0/benchmarks": ("agent0.training", "agent0.stages", "agent0.rollout", "torch", "transformers", "mlflow"),
    "agent0/promotion": ("agent0.training", "agent0.stages", "agent0.rollout", "torch", "transformers", "kfp"),
    "agent0/evaluation": ("agent0.stages", "agent0.training", "agent0.inspect", "kfp", "mlflow"),
    "agent0/inspect": ("agent0.stages", "agent0.training", "kfp", "mlflow"),
    "agent0/report": ("agent0.domains", "agent0.stages", "agent0.training", "agent0.rollout", "torch", "kfp", "mlflow"),
    "agent0/stages": ("kfp", "agent0_kfp"),
    "agent0/kubeflow": ("agent0.domains", "agent0.stages", "agent0.training", "agent0.rollout", "torch", "mlflow"),
    "components": ("torch", "agent0.domains", "agent0.training", "agent0.rollout"),
}
SEEN_BY_DOMAINS = (
    "agent0.domains",
    "agent0.protocol",
    "agent0.types",
    "agent0.config",
    "agent0.errors",
    "agent0.plugin_finder",
    "agent0.tools",
)


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def rooms_that_import() -> dict[str, dict[str, set[str]]]:
    """Return for each room (of `agent0`, and the folders beside it) the rooms that it imports, and in which files."""
    found: dict[str, dict[str, set[str]]] = {}
    for base in ("agent0", "components", "pipelines"):
        for file in (ROOT / base).rglob("*.py"):
            path = file.relative_to(ROOT).with_suffix("")
            room = path.parts[1] if base == "agent0" else base
            if room == "__main__":
                continue
            for name in runtime_imports(file):
                package, _, rest = name.partition(".")
                if package in ("agent0", "agent0_kfp") and rest and (other := rest.split(".")[0]) != room:
                    found.setdefault(room, {}).setdefault(other, set()).add(path.as_posix())
    return found


def runtime_imports(path: Path) -> set[str]:
    """Return the modules that a file imports other than for types alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= (
                {f"{node.module}.{alias.name}" for alias in node.names} if "." not in node.module else {node.module}
            )
    return names


def test_no_room_imports_one_that_imports_it() -> None:
    graph = rooms_that_import()
    assert {"training", "rollout", "stages", "cli", "pipelines"} <= set(graph)
    try:
        order = list(TopologicalSorter({room: set(others) for room, others in graph.items()}).static_order())
    except CycleError as error:
        circle = error.args[1]
        pairs = itertools.pairwise(reversed(circle))
        pytest.fail("; ".join(f"{room} -> {other}: {sorted(graph[room][other])}" for room, other in pairs))
    highest = [room for room in order if all(room not in others for others in graph.values())]
    assert "cli" in highest
    flow = ["types", "sandbox", "rollout", "evaluation", "promotion", "stages", "components", "pipelines", "cli"]
    assert sorted(flow, key=order.index) == flow


SHARED_NAMES = {
    "__init__": "a package itself",
    "ablation": "a pipeline, and its stages",
    "evolution": "a pipeline, and the settings of one",
    "gate": "what decides, and the command that asks it",
}
"""What files of several rooms may be called, and why one name tells what each of them is."""


def test_no_two_files_of_different_rooms_share_a_name() -> None:
    rooms: dict[str, set[str]] = {}
    for base in ("agent0", "pipelines"):  # a component's file is called `component.py`, its folder has the name
        for file in (ROOT / base).rglob("*.py"):
            rooms.setdefault(file.stem, set()).add(file.parent.relative_to(ROOT).as_posix())
    assert len(rooms) > 100
    shared = {name: sorted(folders) for name, folders in rooms.items() if len(folders) > 1}
    assert {name: shared[name] for name in shared.keys() - SHARED_NAMES} == {}
    assert SHARED_NAMES.keys() <= shared.keys()


LOGGERS = {
    "agent0/errors.py": "a warning, to standard error",
    "agent0/progress.py": "the events of a stage, to the log of its pod",
    "agent0/rollout/vllm_process.py": "that a server was started again, to the log of its pod",
    "agent0/sandbox/jail/program.py": "what a program of a model prints, in its own process",
    "agent0/sandbox/jail/error_report.py": "why such a program ended, in its own process",
    "pipelines/warm_client.py": "how a task ended, in a process that imports nothing of ours",
}
"""Who prints outside the room of commands, and what: none of it is a command's answer."""


def outside_cli() -> dict[str, Path]:
    """Return the files that are no part of the room of commands, and are not run by pytest or inside the sandbox."""
    return {
        path: file
        for base in ("agent0", "components", "pipelines")
        for file in (ROOT / base).rglob("*.py")
        if not (path := file.relative_to(ROOT).as_posix()).startswith(("agent0/cli/", "agent0/sandbox/attacks/"))
        and not file.name.startswith("test_")
    }


def test_only_the_room_of_commands_draws_on_a_terminal() -> None:
    drawing = {
        path
        for path, file in outside_cli().items()
        if any(name.split(".")[0] in ("rich", "typer") for name in imports(file))
    }
    assert drawing == set()
    assert "rich.console" in imports(ROOT / "agent0" / "cli" / "screen.py")


def test_only_the_room_of_commands_prints() -> None:
    printing = {
        path
        for path, file in outside_cli().items()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and (ast.unparse(node.func) in ("print", "sys.stdout.write", "sys.stderr.write"))
    }
    assert printing == set(LOGGERS)


def test_tables_and_bars_are_made_in_one_place_each() -> None:
    makers = {
        "rich.table": {"bars.py"},
        "rich.progress": {"bars.py"},
        "rich.live": set(),
        "rich.console": {"screen.py", "bars.py", "plan_view.py"},
    }
    for module, places in makers.items():
        found = {file.name for file in (ROOT / "agent0" / "cli").glob("*.py") if module in runtime_imports(file)}
        assert found == places, module


@pytest.mark.parametrize(("room", "forbidden"), FORBIDDEN.items())
def test_the_arrow_points_one_way(room: str, forbidden: tuple[str, ...]) -> None:
    place = ROOT / room
    files = [place] if place.is_file() else [p for p in place.rglob("*.py") if not p.name.startswith("test_")]
    assert files
    found = [
        (file.relative_to(ROOT).as_posix(), name)
        for file in files
        for name in imports(file)
        if any(name == item or name.startswith(item + ".") for item in forbidden)
    ]
    assert found == []


def test_a_domain_sees_only_what_it_is_made_of() -> None:
    found = {
        (file.name, name)
        for file in (ROOT / "agent0" / "domains").rglob("*.py")
        for name in imports(file)
        if name.split(".")[0] not in sys.stdlib_module_names
        and name != "jinja2"
        and not name.startswith(SEEN_BY_DOMAINS)
    }
    assert found == set()


def enumerated(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield what is compared, matched, listed, or looked up by: where code that knows a name would spell it."""
    for node in ast.walk(tree):
        match node:
            case ast.Compare():
                yield from (node.left, *node.comparators)
            case ast.List() | ast.Tuple() | ast.Set():
                yield from node.elts
            case ast.Dict():
                yield from filter(None, node.keys)
            case ast.Subscript():
                yield node.slice
            case ast.MatchValue():
                yield node.value
            case ast.keyword(arg="domain"):
                yield node.value


@pytest.mark.parametrize("room", ["agent0", "components", "pipelines"])
def test_nothing_outside_the_room_of_domains_knows_the_name_of_one(room: str) -> None:
    names = {path.stem for path in (ROOT / "agent0" / "domains").glob("*.py")} & set(domain_names())
    assert names
    found = [
        (file.relative_to(ROOT).as_posix(), node.value)
        for file in (ROOT / room).rglob("*.py")
        if "domains" not in file.relative_to(ROOT).parts and not file.name.startswith("test_")
        for node in enumerated(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in names
    ]
    assert found == []


@pytest.mark.parametrize("module", LIGHT)
def test_a_light_module_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout.strip() == "[]"


def test_only_the_room_of_kubeflow_knows_kfp_and_only_inside_functions() -> None:
    for path in (ROOT / "agent0").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        places = (tree.body,) if "kubeflow" in path.parts else (ast.walk(tree),)
        found = [
            name
            for node in itertools.chain(*places)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])
            if name.split(".")[0] in ("kfp", "kfp_server_api")
        ]
        assert found == [], path


def test_the_folder_mlflow_does_not_shadow_the_package() -> None:
    assert not (ROOT / "mlflow" / "__init__.py").exists()


def test_every_package_is_installed_by_the_distribution() -> None:
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    folders = {
        path.parent for top in ("agent0", "components", "pipelines") for path in (ROOT / top).rglob("__init__.py")
    }
    names = {folder.relative_to(ROOT).as_posix().replace("/", ".") for folder in folders}
    expected = {n if n.startswith("agent0") else f"agent0_kfp.{n}" for n in names}
    assert listed == expected


def test_every_component_is_thin() -> None:
    for path in (ROOT / "components").glob("*/component.py"):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 70, path
        assert {name.split(".")[0] for name in imports(path)} <= {"agent0", "kfp", "pathlib"}, path


def test_no_file_names_a_path_of_one_machine_or_a_registry() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    if not tracked:
        pytest.skip("not a git checkout")
    words = ("/" + "work/", "/" + "root/", "pypi" + ".org", "files.python" + "hosted")
    hits = [
        (name, word)
        for name in tracked
        for word in words
        if (ROOT / name).is_file() and word in (ROOT / name).read_text(encoding="utf-8", errors="replace")
    ]
    assert hits == []
