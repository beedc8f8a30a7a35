"""Kubeflow's cache of finished local tasks, made to notice damage and to know an artifact by its content.

Kubeflow knows an artifact by its place: it would hand on whatever lies there now, and would repeat all that followed a
task which ran once more. Here an output that is no longer what its stage sealed makes its task run again; what had
followed stays, where the new output is what the old one was.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kfp import dsl
from kfp.local import cache

from agent0.progress import Progress
from agent0.storage.atomic_file import atomic_write
from agent0.storage.manifest import file_sha256
from agent0.storage.seal import DamagedError, intact_digest, sealed

ENTRY_SUFFIX = ".sha256"


class IntactCache(cache.LocalCache):
    """A cache that gives only what is as it was when its task finished."""

    def compute_key(
        self,
        component_name: str,
        image: str,
        full_command: list[str],
        arguments: dict[str, Any],
        env_vars: dict[str, str] | None = None,
        custom_cache_key: str | None = None,
    ) -> str:
        """Return the key of a task; see `LocalCache`."""
        known = {name: _by_content(value) for name, value in arguments.items()}
        return super().compute_key(component_name, image, full_command, known, env_vars, custom_cache_key)

    def get(self, key: str) -> dict[str, Any] | None:
        """Return what a task gave; None if it has not finished, or something of that was damaged since."""
        entry = Path(self._entry_path(key))
        note = entry.with_suffix(ENTRY_SUFFIX)
        if not entry.is_file():
            return None
        if not note.is_file() or note.read_text(encoding="utf-8") != file_sha256(entry):
            _tell(f"{entry} was changed or damaged; its task is run again.")
            return None
        outputs = super().get(key)
        try:
            for artifact in _artifacts(outputs):
                intact_digest(Path(artifact.uri))
        except DamagedError as error:
            _tell(f"{error.found} since its task finished; that task is run again.")
            return None
        return outputs

    def put(self, key: str, outputs: dict[str, Any]) -> None:
        """Keep what a task gave."""
        super().put(key, outputs)
        entry = Path(self._entry_path(key))
        with atomic_write(entry.with_suffix(ENTRY_SUFFIX)) as file:
            file.write(file_sha256(entry))


@contextmanager
def intact_cache(root: Path) -> Iterator[None]:
    """Let Kubeflow's local runner keep finished tasks in an `IntactCache` at `root` for the length of the block."""
    kept, original = IntactCache(str(root)), cache.get_local_cache
    cache.get_local_cache = lambda: kept  # the runner asks this module for it at each task
    try:
        yield
    finally:
        cache.get_local_cache = original


def _tell(sentence: str) -> None:
    Progress("resume", 0).warn(sentence)


def _artifacts(value: Any) -> Iterator[dsl.Artifact]:
    """Yield the artifacts among the outputs of a task."""
    if isinstance(value, dsl.Artifact):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _artifacts(item)


def _by_content(value: Any) -> Any:
    """Return an argument as the key counts it: an artifact that a stage sealed as its digest."""
    if isinstance(value, list):
        return [_by_content(item) for item in value]
    manifest = sealed(Path(value.uri)) if isinstance(value, dsl.Artifact) else None
    return {"type": value.schema_title, "sha256": manifest.digest} if manifest else value
