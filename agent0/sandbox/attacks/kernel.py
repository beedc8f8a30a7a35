"""Attacks on the kernel's surface: calls that must be refused, whatever the arguments, and undoing the confinement."""

from agent0.sandbox.attacks.model import FORBIDDEN, Attack


def _refused(name: str, calls: dict[str, str]) -> Attack:
    lines = [f'attempt("{call}", lambda: call("{call}", {arguments}))' for call, arguments in calls.items()]
    return Attack(name, "\n".join(lines))


ATTACKS = (
    _refused("tracing", {"ptrace": "0, 0, 0, 0", "process_vm_readv": "VICTIM, 0, 0, 0, 0, 0", "kcmp": "1, 2, 0, 0, 0"}),
    _refused("asynchronous rings", {"io_uring_setup": "8, 0", "io_setup": "8, 0"}),
    _refused("kernel programs", {"bpf": "0, 0, 0", "perf_event_open": "0, 0, -1, -1, 0"}),
    _refused("key rings", {"add_key": "0, 0, 0, 0, -2", "keyctl": "0, -3, 0, 0, 0"}),
    _refused("page faults in user space", {"userfaultfd": "0", "memfd_secret": "0"}),
    _refused(
        "mounts",
        {"mount": "0, 0, 0, 0, 0", "pivot_root": "0, 0", "chroot": "0", "fsopen": "0, 0", "open_tree": "-100, 0, 0"},
    ),
    _refused("namespaces", {"unshare": "0x10000000", "setns": "0, 0"}),
    Attack(
        "threads that take a namespace with them",
        """
        kinds = {"mount": 0x20000, "cgroup": 0x2000000, "uts": 0x4000000, "ipc": 0x8000000, "user": 0x10000000,
                 "process": 0x20000000, "network": 0x40000000}
        for name, flag in kinds.items():
            for thread in (0x3D0F00, 0x10F00, 0x10000):
                attempt(name, lambda: call("clone", thread | flag, 0, 0, 0, 0))
        """,
    ),
    _refused("modules and reboot", {"init_module": "0, 0, 0", "kexec_load": "0, 0, 0, 0", "reboot": "0, 0, 0, 0"}),
    _refused("users and capabilities", {"setuid": "0", "capset": "0, 0"}),
    _refused(
        "the machine", {"sethostname": "0, 0", "swapon": "0, 0", "acct": "0", "syslog": "3, 0, 0", "ioperm": "0, 1, 1"}
    ),
    _refused("file handles", {"name_to_handle_at": "-100, 0, 0, 0, 0", "open_by_handle_at": "-100, 0, 0"}),
    _refused("watching files", {"inotify_init1": "0", "fanotify_init": "0, 0", "quotactl": "0, 0, 0, 0"}),
    _refused(
        "System V and POSIX channels", {"shmget": "0, 4096, 0o1600", "msgget": "0, 0o1600", "semget": "0, 1, 0o1600"}
    ),
    Attack(
        "undoing the confinement",
        """
        attempt("filter", lambda: call("seccomp", 0, 0, 0))
        attempt("new filter", lambda: call("seccomp", 1, 0, 0))
        attempt("rule set", lambda: call("landlock_create_ruleset", 0, 0, 1))
        attempt("no new privileges off", lambda: call("prctl", 38, 0, 0, 0, 0))
        attempt("filter by prctl", lambda: call("prctl", 22, 0, 0, 0, 0))
        attempt("dumpable", lambda: call("prctl", 4, 1, 0, 0, 0))
        attempt("keep capabilities", lambda: call("prctl", 8, 1, 0, 0, 0))
        """,
    ),
    Attack(
        "every refused call with zero arguments",
        f"""
        for name in {sorted(set(FORBIDDEN) - {"fork", "vfork"})!r}:
            attempt(name, lambda: call(name, 0, 0, 0, 0, 0))
        """,
    ),
    Attack(
        "calls that do not exist yet",
        """
        for number in [*range(468, 1200), 10**6, 2**31 - 1]:
            if _libc.syscall(ctypes.c_long(number), 0, 0, 0, 0, 0) >= 0:
                print("ESCAPED:", number)
        print("contained")
        """,
        prints="contained",
    ),
    Attack(
        "the other call table of x86",
        """
        for number in [41, 57, 59]:
            if _libc.syscall(ctypes.c_long(number | 0x40000000), 2, 1, 0) >= 0:
                print("ESCAPED:", number)
        print("contained")
        """,
        prints="contained",
    ),
    Attack(
        "32-bit system call by machine code",
        r"""
        import mmap
        if platform.machine() != "x86_64":
            os.kill(os.getpid(), 9)
        page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        page.write(b"\xb8\x02\x00\x00\x00\xcd\x80\xc3")  # mov eax, 2 (fork); int 0x80; ret
        code = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
        if code() == 0:
            print("ESCAPED: 32-bit fork")
        """,
        statuses=("killed",),
    ),
    Attack(
        "terminal injection",
        r"""
        import fcntl, termios
        for descriptor in (0, 1, 2):
            attempt("type a key", lambda: fcntl.ioctl(descriptor, termios.TIOCSTI, b"x"))
            attempt("take the terminal", lambda: fcntl.ioctl(descriptor, termios.TIOCSCTTY, 0))
        """,
    ),
)
