"""What every command relies on."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from agent0.errors import UsageError


def check_surroundings(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Check what every command relies on.

    Raises:
        UsageError: an argument is not UTF-8; the folder that the command was started in was removed; or `TMPDIR` names
            no folder that can be written to, which Python would not say but take another.
    """
    try:
        Path.cwd()
    except FileNotFoundError:
        raise UsageError("The folder that this was started in was removed; change to another.") from None
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise UsageError(f"The argument {argument!r} is not UTF-8; rename what it names, or correct it.") from None
    scratch = environment.get("TMPDIR")
    try:
        if scratch:
            tempfile.TemporaryFile(dir=scratch).close()  # what the permissions of /proc allow, it does not
    except OSError as error:
        raise UsageError(
            f"TMPDIR is {scratch}, no folder that can be written to ({error.strerror}); name one that can, or unset it."
        ) from error
