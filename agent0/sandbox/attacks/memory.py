"""Attacks on memory."""

from agent0.sandbox.attacks.model import Attack

ATTACKS = (
    Attack("one huge allocation", "block = bytearray(1 << 34)", statuses=("memory",), complains="MemoryError"),
    Attack(
        "growing list",
        """
        blocks = []
        while True:
            blocks.append(bytearray(1 << 20))
        """,
        statuses=("memory", "killed"),
        beside=True,
        timeout_seconds=20.0,
    ),
    Attack(
        "anonymous and shared maps",
        """
        import mmap
        attempt("private", lambda: mmap.mmap(-1, 1 << 34, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        attempt("shared", lambda: mmap.mmap(-1, 1 << 34))
        """,
    ),
    Attack(
        "memory outside the address space",
        """
        attempt("memory file", lambda: os.memfd_create("x"))
        attempt("System V", lambda: call("shmget", 0, 1 << 30, 0o1600))
        from multiprocessing import shared_memory
        attempt("POSIX", lambda: shared_memory.SharedMemory(create=True, size=1 << 20))
        """,
    ),
    Attack(
        "endless recursion",
        """
        def deeper(n):
            return deeper(n + 1)
        deeper(0)
        """,
        statuses=("error",),
        complains="RecursionError",
    ),
    Attack(
        "recursion without a limit",
        """
        sys.setrecursionlimit(10**9)
        class Deep:
            def __getattr__(self, name):
                return getattr(self, name + "x") if len(name) < 10**7 else 0
        def deeper(n):
            return [deeper(n + 1)].copy()
        repr(sorted([1], key=lambda _: deeper(0)))
        """,
        statuses=("killed", "memory", "error", "timeout"),
        timeout_seconds=1.0,
    ),
    Attack(
        "stack overflow in C",
        """
        @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)
        def again(n):
            return again(n + 1)
        sys.setrecursionlimit(10**9)
        again(0)
        """,
        statuses=("killed", "memory", "error", "timeout"),
        timeout_seconds=1.0,
    ),
    Attack("huge integer", "x = 1 << (1 << 37)", statuses=("memory",)),
    Attack("repetition", "x = 'ab' * (1 << 36)", statuses=("memory",)),
    Attack(
        "decompression bomb",
        """
        import zlib
        bomb = zlib.compress(zlib.compress(b"\\0" * (1 << 24)) * 400)
        data = b"".join(zlib.decompress(zlib.compress(b"\\0" * (1 << 28))) for _ in range(100))
        """,
        statuses=("memory",),
        timeout_seconds=20.0,
    ),
    Attack(
        "raising its own limits",
        """
        import resource
        for limit in [resource.RLIMIT_AS, resource.RLIMIT_NPROC, resource.RLIMIT_FSIZE, resource.RLIMIT_CPU,
                      resource.RLIMIT_NOFILE]:
            soft, hard = resource.getrlimit(limit)
            if hard != resource.RLIM_INFINITY:
                attempt("hard limit", lambda: resource.setrlimit(limit, (hard + 1, hard + 1)))
            attempt("limit of the owner", lambda: resource.prlimit(OWNER, limit, (1, 1)))
        escaped_if(resource.getrlimit(resource.RLIMIT_AS)[1] == resource.RLIM_INFINITY, "no memory limit")
        escaped_if(resource.getrlimit(resource.RLIMIT_CORE)[1] != 0, "core dumps")
        """,
    ),
)
