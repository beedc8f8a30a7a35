"""Attacks by signals and by controls over other processes."""

from agent0.sandbox.attacks.model import Attack

ATTACKS = (
    Attack(
        "signals to everything that can be named",
        """
        for pid in [-1, 0, -os.getpgrp() or -2, 1, os.getppid() or 1, OWNER, VICTIM]:
            attempt(f"kill {pid}", lambda: os.kill(pid, 9))
        """,
        beside=True,
    ),
    Attack(
        "signals to siblings",
        """
        for pid in range(1, 400):
            if pid != os.getpid():
                try:
                    os.kill(pid, 9)
                except OSError:
                    continue
                print("ESCAPED: killed", pid)
        print("contained")
        """,
        prints="contained",
        beside=True,
    ),
    Attack(
        "signals by other calls",
        """
        import signal
        libc = ctypes.CDLL(None, use_errno=True)
        escaped_if(libc.killpg(0, 9) == 0, "group")
        escaped_if(libc.syscall(234 if platform.machine() == "x86_64" else 131, VICTIM, VICTIM, 9) == 0, "tgkill")
        escaped_if(libc.syscall(200 if platform.machine() == "x86_64" else 130, VICTIM, 9) == 0, "tkill")
        attempt("queue", lambda: call("rt_sigqueueinfo", VICTIM, 9, 0))
        attempt("pidfd", lambda: os.pidfd_open(VICTIM))
        """,
        beside=True,
    ),
    Attack(
        "signals by a file's owner",
        """
        import fcntl
        read, write = os.pipe()
        for pid in [VICTIM, OWNER, os.getppid() or 1]:
            attempt("owner", lambda: fcntl.fcntl(read, fcntl.F_SETOWN, pid))
            attempt("signal", lambda: fcntl.fcntl(read, 10, 9))
        """,
    ),
    Attack(
        "priority and processors of others",
        """
        attempt("priority of a process", lambda: os.setpriority(os.PRIO_PROCESS, VICTIM, 19))
        attempt("priority of the user", lambda: os.setpriority(os.PRIO_USER, os.getuid(), 19))
        attempt("processors", lambda: os.sched_setaffinity(VICTIM, {0}))
        attempt("scheduler", lambda: os.sched_setscheduler(VICTIM, os.SCHED_IDLE, os.sched_param(0)))
        """,
    ),
    Attack(
        "own death at the server's",
        """
        attempt("forget the parent", lambda: call("prctl", 1, 0, 0, 0, 0))
        attempt("own session", lambda: os.setsid())
        """,
    ),
)
