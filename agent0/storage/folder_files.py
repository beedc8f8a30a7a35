"""The files of a folder, links followed: what a link leads to is part of the folder, wherever it lies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from agent0.storage.uri import StorageError


def files_under(folder: Path, *, whole: bool = True) -> Iterator[Path]:
    """Yield the files under a folder, in no order; a folder that is not there has none.

    Args:
        folder: where to look.
        whole: a link that leads nowhere, or around in a circle, is an error; otherwise it is left out.

    Raises:
        StorageError: there is such a link.
    """
    if folder.is_dir():
        yield from _walk(folder, (folder.resolve(),), whole)


def check_links(folder: Path) -> None:
    """Check that every link under a folder leads to a file or a folder.

    Raises:
        StorageError: one does not.
    """
    for _ in files_under(folder):
        pass


def _walk(folder: Path, way: tuple[Path, ...], whole: bool) -> Iterator[Path]:
    """Walk a folder; `way` is what it and the folders on the way to it really are."""
    for path in folder.iterdir():
        linked = path.is_symlink()
        if path.is_dir():
            target = path.resolve() if linked else way[-1] / path.name
            if not linked or not any(passed.is_relative_to(target) for passed in way):
                yield from _walk(path, (*way, target), whole)
            elif whole:
                raise StorageError(f"The link {path} leads back to a folder that it lies in; remove it.")
        elif path.is_file():
            yield path
        elif linked and whole:
            raise StorageError(
                f"The link {path} leads to {path.readlink()}, where nothing is; fetch what it stands for again, or "
                "remove the link."
            )
