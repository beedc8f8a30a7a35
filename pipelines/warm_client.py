"""The launcher's other half: ask the template for a process, wait for its end, exit as it did.

Runs under `python -I -S`, so it imports the standard library only. A child that a signal ended is named as such, with
128 + signal as exit status; if the template is gone, that is 137, as after a kill.
"""

import json
import os
import signal
import socket
import sys

SIGNALLED = 128
KILLED = SIGNALLED + signal.SIGKILL


def main() -> int:
    """Hand over arguments, environment, folder and descriptors; return the child's exit status."""
    address, *arguments = sys.argv[1:]
    request = {"arguments": arguments, "environment": dict(os.environ), "folder": os.getcwd()}  # noqa: PTH109
    data = json.dumps(request).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        socket.send_fds(connection, [len(data).to_bytes(8, "big")], [0, 1, 2])
        connection.sendall(data)
        answer = connection.recv(1)
    status = answer[0] if answer else KILLED
    if status - SIGNALLED in set(signal.Signals):
        print(f"The task's process was ended by {signal.Signals(status - SIGNALLED).name}.", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
