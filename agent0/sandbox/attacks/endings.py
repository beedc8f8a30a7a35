"""How a program may end: the result contract for every ending that Python knows."""

from agent0.sandbox.attacks.model import Attack

ATTACKS = (
    Attack("plain end", "print('done')", exit_code=0, prints="done"),
    Attack("os._exit(0) loses nothing printed", "print('kept'); os._exit(0)", exit_code=0, prints="kept"),
    Attack("os._exit(7)", "os._exit(7)", statuses=("error",), exit_code=7),
    Attack("sys.exit()", "sys.exit()", exit_code=0),
    Attack("sys.exit(3)", "sys.exit(3)", statuses=("error",), exit_code=3),
    Attack("sys.exit(300) wraps as in a shell", "sys.exit(300)", statuses=("error",), exit_code=44),
    Attack("sys.exit(text)", "sys.exit('reason')", statuses=("error",), exit_code=1, complains="reason"),
    Attack("uncaught exception", "1 / 0", statuses=("error",), exit_code=1, complains="ZeroDivisionError"),
    Attack("syntax error", "def", statuses=("error",), exit_code=1, complains="SyntaxError"),
    Attack(
        "atexit runs, after the main program",
        """
        import atexit
        atexit.register(print, "last words")
        print("first words")
        """,
        prints="first words\nlast words",
    ),
    Attack(
        "sys.exit in atexit",
        """
        import atexit
        atexit.register(sys.exit, 5)
        """,
        statuses=("ok", "error"),
    ),
    Attack(
        "finaliser of a global",
        """
        class Final:
            def __del__(self):
                print("finalised")
        final = Final()
        """,
        prints="finalised",
    ),
    Attack(
        "segmentation fault",
        "ctypes.string_at(0)",
        statuses=("killed",),
        exit_code=-11,
        complains="SIGSEGV",
    ),
    Attack(
        "segmentation fault with faulthandler",
        """
        import faulthandler
        faulthandler.enable()
        ctypes.string_at(0)
        """,
        statuses=("killed",),
        exit_code=-11,
        complains="Fatal Python error: Segmentation fault",
    ),
    Attack("abort", "os.abort()", statuses=("killed",), exit_code=-6, complains="SIGABRT"),
    Attack("signal to itself", "os.kill(os.getpid(), 15)", statuses=("killed",), exit_code=-15, complains="SIGTERM"),
    Attack(
        "exception in a thread",
        """
        import threading
        threading.Thread(target=lambda: 1 / 0).start()
        """,
        exit_code=0,
        complains="ZeroDivisionError",
    ),
    Attack("keyboard interrupt", "raise KeyboardInterrupt", statuses=("error",), complains="KeyboardInterrupt"),
    Attack(
        "exception whose text fails",
        """
        class Bad(Exception):
            def __str__(self):
                raise ValueError("no text")
        raise Bad
        """,
        statuses=("error",),
        complains="Bad",
    ),
    Attack(
        "memory error that is caught",
        """
        try:
            bytearray(1 << 40)
        except MemoryError:
            print("caught")
        """,
        prints="caught",
    ),
)
