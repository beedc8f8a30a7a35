"""Pages of docs/ whose files are put into an empty folder, and whose commands are run there and compared."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"<!-- (file|run)(?: (\S+))? -->\n```\w+\n(.*?)```\n", re.DOTALL)
_SHIM = '#!/bin/sh\nexec {python} -P -m {module} "$@"\n'


@dataclass(frozen=True)
class ConsolePage:
    """A page: files by name, and commands with what is said to be printed."""

    name: str

    @property
    def files(self) -> dict[str, str]:
        return {name: text for kind, name, text in self._blocks() if kind == "file"}

    def commands(self, how: str = "") -> list[tuple[str, str]]:
        """Return the commands of the blocks that are run so: `slowly`, or by itself."""
        blocks = "\n\n".join(text.strip() for kind, name, text in self._blocks() if kind == "run" and name == how)
        sessions = re.split(r"^\$ ", blocks, flags=re.MULTILINE)[1:]
        return [(command, printed.strip()) for command, _, printed in (session.partition("\n") for session in sessions)]

    def _blocks(self) -> list[tuple[str, str, str]]:
        return _BLOCK.findall((ROOT / "docs" / self.name).read_text(encoding="utf-8"))

    def unpack(self, folder: Path) -> None:
        """Write the page's files into a folder."""
        for name, text in self.files.items():
            (folder / name).write_text(text, encoding="utf-8")


def make_environment(place: Path) -> Mapping[str, str]:
    """Make an environment of its own that sees the packages of this one, so that pip installs nothing here."""
    venv.create(place, symlinks=True)
    python = place / "bin" / "python"
    for module, name in (("pip", "pip"), ("agent0", "agent0")):
        shim = place / "bin" / name
        shim.write_text(_SHIM.format(python=python, module=module))
        shim.chmod(0o755)
    seen = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (library,) = (place / "lib").glob("python*/site-packages")
    (library / "seen.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in seen))
    alone = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "false", "PIP_CONFIG_FILE": os.devnull}
    return {**os.environ, **alone, "PATH": f"{place / 'bin'}:{os.environ['PATH']}", "PYTHONWARNINGS": "ignore"}


def run(command: str, folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command of a page; what it prints on both streams is its output."""
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
