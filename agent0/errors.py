"""The errors and warnings that a person is meant to read: one sentence that says what was wrong and what to do."""

import sys


def warn(sentence: str) -> None:
    """Print a warning of a command, beside its result."""
    print(f"agent0: warning: {sentence}", file=sys.stderr)


class Agent0Error(Exception):
    """Something failed for a reason that the message explains; the command line exits with 1."""

    exit_code = 1


class UsageError(Agent0Error):
    """The caller asked for something that cannot be; the command line exits with 2."""

    exit_code = 2


class NotInstalledError(UsageError):
    """What was asked for comes with a package that is not installed here, and may be elsewhere."""
