"""Attacks through Python itself: pickles, ctypes, frames, and what is left of the fork server in memory."""

from agent0.sandbox.attacks.model import Attack

ATTACKS = (
    Attack(
        "pickle that runs a command",
        """
        import pickle
        class Bomb:
            def __reduce__(self):
                return (os.popen, ("echo ESCAPED",))
        attempt("pickle", lambda: pickle.loads(pickle.dumps(Bomb())).read())
        """,
        works_bare=True,
    ),
    Attack(
        "C library's own ways out",
        """
        libc = ctypes.CDLL(None)
        escaped_if(libc.system(b"true") == 0, "system")
        escaped_if(libc.fork() >= 0, "fork")
        escaped_if(libc.socket(2, 1, 0) >= 0, "socket")
        escaped_if(libc.open(CANARY.encode(), 0) >= 0, "open")
        """,
    ),
    Attack(
        "the fork server's objects",
        """
        import gc
        found = []
        frame = sys._getframe()
        while frame is not None:
            found += [value for value in frame.f_locals.values() if type(value).__name__ == "socket"]
            frame = frame.f_back
        found += [thing for thing in gc.get_objects() if type(thing).__name__ == "socket"]
        for module in list(sys.modules.values()):
            found += [value for value in vars(module).values() if type(value).__name__ == "socket"]
        for thing in found:
            attempt("send to the owner", lambda: thing.send(b"forged"))
        for thing in [thing for thing in gc.get_objects() if type(thing).__name__ == "Server"]:
            attempt("forged result", lambda: thing._control.send(b"\\3" * 42))
        print("contained")
        """,
        prints="contained",
    ),
    Attack(
        "the frames above the program",
        """
        import inspect, signal
        escaped_if(sys._getframe().f_back is not None, "a caller of the first frame")
        escaped_if(len(inspect.stack()) != 1, "frames on the stack")
        signal.signal(signal.SIGUSR1, lambda number, frame: escaped_if(frame.f_back is not None, "above a signal"))
        os.kill(os.getpid(), signal.SIGUSR1)
        import threading
        escaped_if(threading.current_thread() is not threading.main_thread(), "not in the main thread")
        """,
    ),
    Attack(
        "whatever of the fork server is still in memory",
        """
        import gc
        gc.unfreeze()
        ours = [type(thing) for thing in gc.get_objects() if type(thing).__module__.partition(".")[0] == "jail"]
        left = {kind.__name__ for kind in ours} - {"Guard", "Program", "Interpreter", "_Stdout"}
        escaped_if(bool(left), f"objects {left}")
        escaped_if(any(name.partition(".")[0] == "jail" for name in sys.modules), "the package")
        attempt("import it", lambda: __import__("jail"))
        """,
    ),
    Attack(
        "rewriting the runner under its feet",
        """
        import ast, atexit, traceback
        os._exit = os.write = os.close = lambda *a: None
        sys.excepthook = lambda *a: print("own hook")
        traceback.print_exception = None
        atexit._run_exitfuncs = None
        sys.modules.clear()
        raise SystemError("end")
        """,
        statuses=("error", "timeout", "killed", "ok"),
        timeout_seconds=1.0,
    ),
    Attack(
        "unloading everything",
        """
        import builtins
        for name in list(vars(builtins)):
            if name not in ("list", "vars", "delattr"):
                delattr(builtins, name)
        """,
        statuses=("error", "ok", "killed"),
    ),
    Attack(
        "tracing the runner's own frames",
        """
        def tracer(frame, event, argument):
            frame.f_globals["wire"] = None
            return tracer
        sys.settrace(tracer)
        frame = sys._getframe().f_back
        while frame is not None:
            frame.f_trace = tracer
            frame = frame.f_back
        """,
        statuses=("error", "ok", "killed"),
    ),
)
