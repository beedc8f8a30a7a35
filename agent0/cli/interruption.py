"""What a command says when somebody ends it by Ctrl-C."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from agent0.errors import Agent0Error

EXIT_CODE = 130
"""As shells have it, and as Typer ends a command that says nothing of it."""
SENTENCE = "Interrupted; what was finished is kept."


class InterruptionError(Agent0Error):
    """Somebody ended the command."""

    exit_code = EXIT_CODE


@contextmanager
def interruptible(how_to_go_on: str) -> Iterator[None]:
    """Say what is kept and how to go on, where somebody interrupts the block.

    Raises:
        InterruptionError: somebody did.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise InterruptionError(how_to_go_on) from None
