"""Attacks that read what is not theirs: secrets of the owner, files of the host, the project, inherited descriptors."""

from agent0.sandbox.attacks.model import Attack

ATTACKS = (
    Attack("file outside", 'attempt("read", lambda: open(CANARY).read())', works_bare=True),
    Attack(
        "file outside through a symbolic link",
        """
        os.symlink(CANARY, "link")
        attempt("read", lambda: open("link").read())
        """,
        works_bare=True,
    ),
    Attack(
        "file outside through a hard link",
        """
        attempt("link", lambda: os.link(CANARY, "link"))
        attempt("link a library file", lambda: os.link(os.__file__, "library"))
        """,
    ),
    Attack(
        "file outside through /proc",
        """
        attempt("root", lambda: open("/proc/self/root" + CANARY).read())
        attempt("cwd", lambda: open("/proc/self/cwd/../../../../../.." + CANARY).read())
        attempt("process 1", lambda: open("/proc/1/root" + CANARY).read())
        """,
        works_bare=True,
    ),
    Attack(
        "file outside by climbing up",
        """
        attempt("relative", lambda: open("../" * 30 + CANARY.lstrip("/")).read())
        descriptor = os.open(".", os.O_RDONLY)
        attempt("from a descriptor", lambda: os.open("../" * 30 + CANARY.lstrip("/"), os.O_RDONLY, dir_fd=descriptor))
        """,
        works_bare=True,
    ),
    Attack(
        "secret in the environment of the owner",
        """
        escaped_if(any(SECRET in value for value in os.environ.values()), "own environment")
        attempt("owner", lambda: open(f"/proc/{OWNER}/environ").read())
        attempt("parent", lambda: open(f"/proc/{os.getppid()}/environ").read())
        attempt("own, as the kernel keeps it", lambda: open("/proc/self/environ").read())
        """,
        works_bare=True,
    ),
    Attack(
        "memory and command lines of other processes",
        """
        for pid in [1, OWNER, VICTIM, os.getppid()]:
            attempt("command line", lambda: open(f"/proc/{pid}/cmdline").read())
            attempt("memory map", lambda: open(f"/proc/{pid}/maps").read())
            attempt("memory", lambda: open(f"/proc/{pid}/mem", "rb"))
        attempt("list of processes", lambda: os.listdir("/proc"))
        """,
        works_bare=True,
    ),
    Attack(
        "home, keys and tokens",
        """
        for path in ["/root", "/home", os.path.join("/root", ".ssh"), "/etc/shadow", "/etc/passwd", "/etc/hosts",
                     "/var/run/secrets/kubernetes.io/serviceaccount/token", "/run", "/var/log"]:
            attempt(path, lambda: os.listdir(path) if os.path.isdir(path) else open(path).read())
        escaped_if(os.path.expanduser("~") in ("/root", "/home"), "a real home in HOME")
        """,
        works_bare=True,
    ),
    Attack(
        "the working folder of the owner",
        """
        attempt("list", lambda: os.listdir(PROJECT))
        attempt("read", lambda: open(os.path.join(PROJECT, "pyproject.toml")).read())
        """,
        works_bare=True,
    ),
    Attack(
        "inherited descriptors",
        """
        found = []
        for descriptor in range(3, 4096):
            try:
                os.fstat(descriptor)
            except OSError:
                continue
            found.append(descriptor)
        escaped_if(bool(found), f"descriptors {found}")
        """,
    ),
    Attack(
        "descriptors through /proc",
        """
        for process in ["self", "thread-self", os.getpid(), os.getppid(), OWNER, VICTIM, 1]:
            for folder in ["fd", "fdinfo", "map_files"]:
                attempt(f"list {process}/{folder}", lambda: os.listdir(f"/proc/{process}/{folder}"))
        attempt("list /dev/fd", lambda: os.listdir("/dev/fd"))
        for process in ["self", "thread-self", os.getpid()]:
            for number in range(3, 256):
                try:
                    os.close(os.open(f"/proc/{process}/fd/{number}", os.O_PATH | os.O_NOFOLLOW))
                except OSError:
                    continue
                print("ESCAPED:", process, number)
        for process in [os.getppid() or 1, OWNER, VICTIM]:
            for number in range(64):
                attempt(f"open {process}/{number}", lambda: os.open(f"/proc/{process}/fd/{number}", os.O_RDONLY))
        path = ctypes.create_string_buffer(b"/proc/self/fd")
        how = (ctypes.c_uint64 * 3)(os.O_RDONLY | os.O_DIRECTORY, 0, 0)
        attempt("openat2", lambda: call("openat2", -100, ctypes.addressof(path), ctypes.addressof(how), 24))
        """,
    ),
    Attack(
        "folder listings above the scratch folder",
        """
        for path in ["/", "..", "/tmp", "/dev", "/sys", "/etc", "/usr", "/opt", os.path.dirname(CANARY)]:
            if not (os.path.exists(path) and os.path.samefile(path, ".")):  # /tmp may be the scratch folder
                attempt(path, lambda: os.listdir(path))
        """,
        works_bare=True,
    ),
    Attack(
        "devices",
        """
        for path in ["/dev/mem", "/dev/kmsg", "/dev/sda", "/dev/vda", "/dev/tty", "/dev/ptmx", "/dev/fuse", "/dev/kvm"]:
            attempt(path, lambda: os.open(path, os.O_RDWR))
        print(len(os.urandom(8)), len(open("/dev/urandom", "rb").read(8)))
        """,
        prints="8 8",
    ),
)
