"""Ports of this machine: their range, and taking one before anything else is begun that needs it."""

from __future__ import annotations

import errno
import socket

from agent0.errors import Agent0Error, UsageError

LAST_PORT = 65_535


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address of this machine.

    Args:
        host: a name, or an address of IPv4 or IPv6.
        port: 0 for a free one.

    Raises:
        Agent0Error: the port is taken.
        UsageError: this machine has no such address, or the port is not allowed.
    """
    try:
        kind, *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server((host, port), family=kind)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        raise (Agent0Error if taken else UsageError)(
            f"Nothing can listen at {host or 'an empty address'}, port {port} ({reason}); give an address of this "
            "machine and a free port."
        ) from error
