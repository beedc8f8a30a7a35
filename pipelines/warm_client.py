"""The launcher's other half: ask the template for a process, wait for its end, exit as it did.

Runs under `python -I -S`, so it imports the standard library only. If the template or the child is gone without a word,
it exits with 137, as after a kill.
"""

import json
import os
import socket
import sys

KILLED = 137


def main() -> int:
    """Hand over arguments, environment, folder and descriptors; return the child's exit status."""
    address, *arguments = sys.argv[1:]
    request = {"arguments": arguments, "environment": dict(os.environ), "folder": os.getcwd()}  # noqa: PTH109
    data = json.dumps(request).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        socket.send_fds(connection, [len(data).to_bytes(8, "big")], [0, 1, 2])
        connection.sendall(data)
        status = connection.recv(1)
    return status[0] if status else KILLED


if __name__ == "__main__":
    sys.exit(main())
