"""Print the requirements of chosen extras of pyproject.toml, one a line, for a layer of dependencies without our code.

Example: python3 images/requirements.py pyproject.toml train tracking > requirements.txt

Runs inside the images' build stages, before anything is installed: standard library only.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def requirements(pyproject: Path, extras: list[str]) -> list[str]:
    """Return the base dependencies and those of the extras, each once, in order.

    Raises:
        SystemExit: there is no such extra.
    """
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    for extra in extras:
        if extra not in optional:
            raise SystemExit(f"{pyproject} has no extra {extra!r}; it has {', '.join(optional)}.")
    return list(dict.fromkeys([*project["dependencies"], *(line for extra in extras for line in optional[extra])]))


if __name__ == "__main__":
    print("\n".join(requirements(Path(sys.argv[1]), sys.argv[2:])))
