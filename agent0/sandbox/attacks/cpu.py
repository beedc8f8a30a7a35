"""Attacks on the processor and the clock."""

from agent0.sandbox.attacks.model import Attack

ATTACKS = (
    Attack("endless loop", "while True: pass", statuses=("timeout",), timeout_seconds=0.5, exit_code=-9, beside=True),
    Attack("endless sleep", "import time; time.sleep(1e6)", statuses=("timeout",), timeout_seconds=0.3),
    Attack(
        "catastrophic regular expression",
        "import re; re.match(r'(a+)+$', 'a' * 60 + 'b')",
        statuses=("timeout",),
        timeout_seconds=0.5,
    ),
    Attack("huge power", "x = 7 ** (7 ** 12)", statuses=("timeout", "memory"), timeout_seconds=0.5),
    Attack(
        "deaf to signals and to exceptions",
        """
        import signal
        for number in range(1, 65):
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        while True:
            try:
                while True:
                    pass
            except BaseException:
                continue
        """,
        statuses=("timeout",),
        timeout_seconds=0.5,
    ),
    Attack(
        "blocked in C, holding the interpreter",
        "sum(range(10**12))",
        statuses=("timeout",),
        timeout_seconds=0.5,
    ),
    Attack(
        "threads that spin",
        """
        import threading
        def spin():
            while True:
                pass
        for _ in range(20):
            threading.Thread(target=spin).start()
        """,
        statuses=("timeout",),
        timeout_seconds=0.5,
    ),
    Attack(
        "changing the clock",
        """
        import time
        attempt("set", lambda: time.clock_settime(time.CLOCK_REALTIME, 0))
        attempt("set by call", lambda: call("settimeofday", 0, 0))
        attempt("personality", lambda: call("personality", 0x0040000))
        """,
    ),
    Attack(
        "reading from a standard input that never comes",
        """
        try:
            input()
        except EOFError:
            print("contained: end of file")
        """,
        prints="contained",
    ),
    Attack(
        "exit that never ends",
        """
        import atexit
        @atexit.register
        def forever():
            while True:
                pass
        """,
        statuses=("timeout",),
        timeout_seconds=0.5,
    ),
)
