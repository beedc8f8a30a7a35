"""The errors and warnings that a person is meant to read: one sentence that says what was wrong and what to do."""

import errno
import sys

_DISK_FULL = ("No space left on device", "disk is full", "Disk quota exceeded")
"""As the operating system, SQLite and libraries that are not Python's own say it."""
_REFUSALS = {
    errno.EACCES,
    errno.EFBIG,
    errno.EIO,
    errno.EISDIR,
    errno.ELOOP,
    errno.EMFILE,
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}
"""By which a file system says that a path cannot be used as it was asked to."""


def warn(sentence: str) -> None:
    """Print a warning of a command, beside its result."""
    print(f"agent0: warning: {sentence}", file=sys.stderr)


def shortened(text: str, length: int = 200) -> str:
    """Return what somebody gave, as a sentence can quote it: the middle of a long text is left out."""
    half = length // 2
    return text if len(text) <= length else f"{text[:half]}… ({len(text):,} characters) …{text[-half:]}"


def reason_of(error: BaseException) -> str:
    """Return what an error of somebody else's says, as a part of a sentence: on one line, without a full stop."""
    return " ".join(str(error).split()).rstrip(".")


class Agent0Error(Exception):
    """Something failed for a reason that the message explains; the command line exits with 1."""

    exit_code = 1


class UsageError(Agent0Error):
    """The caller asked for something that cannot be; the command line exits with 2."""

    exit_code = 2


class NotInstalledError(UsageError):
    """What was asked for comes with a package that is not installed here, and may be elsewhere."""


def is_disk_full(error: BaseException) -> bool:
    """Whether an error comes from a disk without space, whichever library raised it."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return any(said in str(error) for said in _DISK_FULL)


def is_refusal(error: BaseException) -> bool:
    """Whether an error is a file system's, about a place that somebody named."""
    return is_disk_full(error) or (isinstance(error, OSError) and error.errno in _REFUSALS)


def explain(error: BaseException) -> str:
    """Return what a person should read of an error."""
    if isinstance(error, Agent0Error):
        return str(error)
    if is_disk_full(error):
        return f"The disk is full ({reason_of(error)}); free space and start again: what was finished is kept."
    if isinstance(error, OSError) and is_refusal(error):
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror}; correct that, or name another place, and start again."
    return f"{type(error).__name__}: {reason_of(error)}."
