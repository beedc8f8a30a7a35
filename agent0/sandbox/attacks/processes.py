"""Attacks by processes and threads."""

from agent0.sandbox.attacks.model import Attack

ATTACKS = (
    Attack(
        "fork bomb",
        """
        while True:
            try:
                os.fork()
            except OSError:
                break
        print("contained")
        """,
        prints="contained",
        beside=True,
    ),
    Attack(
        "double fork into a session of its own",
        """
        def daemon():
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    import time
                    time.sleep(1)
                os._exit(0)
            return "forked"
        attempt("daemon", daemon)
        """,
        works_bare=True,
    ),
    Attack(
        "every way to start a program",
        """
        import subprocess
        attempt("subprocess", lambda: subprocess.run(["/bin/true"], check=True))
        attempt("shell", lambda: subprocess.check_output("id", shell=True))
        attempt("posix_spawn", lambda: os.posix_spawn("/bin/true", ["true"], {}))
        attempt("popen", lambda: os.popen("id").read())
        escaped_if(os.system("true") == 0, "system")
        """,
        works_bare=True,
    ),
    Attack(
        "replace itself by another program",
        """
        attempt("exec", lambda: os.execv("/bin/sh", ["sh", "-c", "echo ESCAPED"]))
        attempt("the interpreter itself", lambda: os.execv(sys.executable, [sys.executable, "-c", "print('ESCAPED')"]))
        open("own", "w").write("#!/bin/sh\\necho ESCAPED")
        attempt("own file", lambda: os.execv("./own", ["own"]))
        """,
        works_bare=True,
    ),
    Attack(
        "new processes by raw system call",
        """
        for name, arguments in [("fork", ()), ("vfork", ()), ("clone", (17, 0, 0, 0, 0)), ("clone3", (0, 0)),
                                ("clone", (0x10000000 | 17, 0, 0, 0, 0)), ("execve", (0, 0, 0)),
                                ("execveat", (-100, 0, 0, 0, 0))]:
            attempt(name, lambda: call(name, *arguments))
        """,
    ),
    Attack(
        "multiprocessing",
        """
        import multiprocessing
        attempt("process", lambda: multiprocessing.get_context("fork").Process(target=print).start())
        attempt("spawn", lambda: multiprocessing.get_context("spawn").Process(target=print).start())
        """,
        works_bare=True,
    ),
    Attack(
        "thread bomb",
        """
        import threading, time
        threading.stack_size(32768)
        started = 0
        while True:
            try:
                threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
            except RuntimeError:
                break
            started += 1
        escaped_if(started > 2000, f"{started} threads")
        """,
        statuses=("ok", "killed"),
        beside=True,
    ),
    Attack(
        "threads work, in number",
        """
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(16) as pool:
            print(sum(pool.map(lambda n: n * n, range(100))))
        """,
        prints="328350",
    ),
    Attack(
        "asyncio works",
        """
        import asyncio
        async def main():
            await asyncio.sleep(0.01)
            return await asyncio.to_thread(lambda: 42)
        print(asyncio.run(main()))
        """,
        prints="42",
    ),
    Attack(
        "thread that outlives the main program",
        """
        import threading, time
        def forever():
            while True:
                time.sleep(0.01)
        threading.Thread(target=forever).start()
        """,
        statuses=("timeout",),
        timeout_seconds=0.5,
    ),
)
