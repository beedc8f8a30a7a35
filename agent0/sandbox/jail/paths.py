"""Which files a Python program needs to read, found from the running interpreter instead of listed by hand.

Nothing here grants access to a home directory, a project or the interpreter's prefix as a whole: only the standard
library, the site-packages folders that the owner imports from, and the folders of the shared libraries in use.
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/localtime", "/usr/share/zoneinfo", "/usr/lib/locale")
_TOO_WIDE = {"/", "/usr", "/root", "/home", "/etc", "/opt", "/tmp", "/var"}


def site_folders() -> list[str]:
    """The site-packages folders on this process's module path."""
    return [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages") and Path(path).is_dir()]


def _library_folders() -> set[str]:
    maps = Path("/proc/self/maps").read_text(errors="surrogateescape")
    files = {line.split(maxsplit=5)[5] for line in maps.splitlines() if len(line.split(maxsplit=5)) == 6}
    return {str(Path(file).parent) for file in files if file.startswith("/") and ".so" in Path(file).name}


def readable(site: list[str]) -> list[str]:
    """Paths that programs may read, as seen by this process after its preloads; a path inside another is dropped."""
    standard = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    wanted = {path for path in standard | set(site) | _library_folders() | set(_SYSTEM_FILES) if Path(path).exists()}
    wanted -= _TOO_WIDE
    return sorted(path for path in wanted if not any(path.startswith(other + "/") for other in wanted if other != path))


def devices() -> list[str]:
    """The harmless device files that exist here."""
    return [path for path in DEVICES if Path(path).exists()]
