"""Become what a program is in a restricted container, then run a command: for tests, run by root or by anyone.

Usage: container_like.py restricted|user SCRATCH COMMAND... No capabilities, no_new_privs, an unprivileged user id
where root gives one; 'restricted' adds a system call filter that denies namespaces, mounts and tracing as container
runtimes do by default.
"""

import os
import struct
import sys
from pathlib import Path

from agent0.sandbox.jail import limits, namespaces, seccomp, syscalls

DENIED = {
    "x86_64": (101, 155, 161, 165, 166, 246, 248, 250, 272, 298, 308, 310, 321, 323, 425, 426, 427, 429, 430, 442),
    "aarch64": (117, 41, 51, 40, 39, 104, 217, 219, 97, 241, 268, 270, 280, 282, 425, 426, 427, 429, 430, 442),
}
NEW_NAMESPACES = 0x7E020000
LOAD, EQUAL, ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
ALLOW, EPERM, ENOSYS = 0x7FFF0000, 0x00050001, 0x00050026


def container_filter():
    machine = syscalls.machine()
    numbers = syscalls.numbers(machine)
    code = [(LOAD, 0, 0, 0)]
    for number in DENIED[machine]:
        code += [(EQUAL, 0, 1, number), (RETURN, 0, 0, EPERM)]
    code += [(EQUAL, 0, 1, numbers["clone3"]), (RETURN, 0, 0, ENOSYS)]
    code += [(EQUAL, 0, 3, numbers["clone"]), (LOAD, 0, 0, 16), (ANY_BIT, 0, 1, NEW_NAMESPACES), (RETURN, 0, 0, EPERM)]
    code += [(RETURN, 0, 0, ALLOW)]
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in code)


def open_the_way_to_the_interpreter():
    """As root: an interpreter below a home of mode 700 is bound into a passable copy of that home."""
    prefix = Path(sys.base_prefix)
    home = next((parent for parent in reversed(prefix.parents) if parent.stat().st_mode & 0o005 != 0o005), None)
    if home is None:
        return
    namespaces.enter("mount")
    namespaces.mount("none", "/", None, (1 << 18) | 16384)
    descriptor = os.open(prefix, os.O_PATH)
    namespaces.mount("home", str(home), "tmpfs", 0, "mode=755")
    prefix.mkdir(parents=True)
    namespaces.mount(f"/proc/self/fd/{descriptor}", str(prefix), None, 4096)
    os.close(descriptor)


def main():
    kind, scratch, command = sys.argv[1], sys.argv[2], sys.argv[3:]
    if os.geteuid() == 0:
        open_the_way_to_the_interpreter()
        os.chmod(scratch, 0o777)  # noqa: PTH101
        limits.become(10_001)
    limits.drop_capabilities()
    limits.no_new_privileges()
    if kind == "restricted":
        seccomp.installer(container_filter())()
    os.environ.update(TMPDIR=scratch, HOME=scratch)
    os.execv(command[0], command)


main()
