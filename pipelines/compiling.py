"""Writing a pipeline as YAML, the same bytes for the same pipeline."""

import itertools
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kfp import compiler

from agent0 import __version__
from agent0.storage.atomic_file import atomic_write


def write_pipeline(pipeline: Callable[..., Any], path: Path, title: str) -> None:
    """Compile `pipeline` to `path`, headed by a line with `title` and the version."""
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.filterwarnings("ignore", category=FutureWarning)
        compiled = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(pipeline, str(compiled))
        lines = compiled.read_text(encoding="utf-8").splitlines(keepends=True)
    # Kubeflow's own header prints the defaults in an order that changes from process to process.
    body = itertools.dropwhile(lambda line: line.startswith("#"), lines)
    with atomic_write(path) as file:
        file.writelines([f"# {title}, agent0 {__version__}\n", *body])
