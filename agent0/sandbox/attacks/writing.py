"""Attacks that write outside the scratch folder, and those that fill it."""

from agent0.sandbox.attacks.model import Attack

ATTACKS = (
    Attack(
        "change a file outside",
        """
        attempt("append", lambda: open(CANARY, "a").write("x"))
        attempt("truncate", lambda: os.truncate(CANARY, 0))
        attempt("truncate on opening to read", lambda: os.open(CANARY, os.O_RDONLY | os.O_TRUNC))
        attempt("remove", lambda: os.unlink(CANARY))
        """,
        works_bare=True,
    ),
    Attack(
        "change a file outside through a symbolic link",
        """
        os.symlink(CANARY, "link")
        os.symlink(os.path.dirname(CANARY), "folder")
        attempt("write", lambda: open("link", "w").write("x"))
        attempt("new file", lambda: open("folder/new", "w").write("x"))
        """,
        works_bare=True,
    ),
    Attack(
        "make a file outside",
        """
        library = os.path.dirname(os.__file__)
        folders = [os.path.dirname(CANARY), "/tmp", "/var/tmp", "/dev/shm", "/run", "/", library]
        for folder in folders:
            if os.path.exists(folder) and os.path.samefile(folder, "."):
                continue  # /tmp may be the scratch folder
            attempt(folder, lambda: open(os.path.join(folder, "agent0-attack"), "w"))
            attempt(folder, lambda: os.mkdir(os.path.join(folder, "agent0-attack-folder")))
        """,
    ),
    Attack(
        "move files in and out",
        """
        open("own", "w").write("x")
        attempt("out", lambda: os.rename("own", CANARY + ".moved"))
        attempt("over", lambda: os.rename("own", CANARY))
        attempt("in", lambda: os.rename(CANARY, "stolen"))
        attempt("link out", lambda: os.link("own", CANARY + ".linked"))
        """,
        works_bare=True,
    ),
    Attack(
        "write a library file through memory",
        """
        import mmap
        descriptor = os.open(os.__file__, os.O_RDONLY)
        attempt("shared map", lambda: mmap.mmap(descriptor, 4096, mmap.MAP_SHARED, mmap.PROT_WRITE))
        attempt("open", lambda: os.open(os.__file__, os.O_RDWR))
        attempt("through its descriptor", lambda: os.open(f"/proc/self/fd/{descriptor}", os.O_RDWR))
        attempt("resize", lambda: os.ftruncate(descriptor, 0))
        """,
    ),
    Attack(
        "owner, mode, times and attributes of files outside",
        """
        def changed(path, action):  # modes and times are granted, and must stay as they are
            before = os.stat(path)
            action()
            after = os.stat(path)
            if (before.st_mode, before.st_mtime_ns) == (after.st_mode, after.st_mtime_ns):
                raise PermissionError("it is as it was")
        for path in [CANARY, os.__file__, os.path.dirname(CANARY)]:
            attempt("mode", lambda: changed(path, lambda: os.chmod(path, 0o777)))
            attempt("other mode", lambda: changed(path, lambda: os.chmod(path, 0o600)))
            attempt("owner", lambda: os.chown(path, os.getuid(), -1))
            attempt("times", lambda: changed(path, lambda: os.utime(path, (0, 0))))
            attempt("time of now", lambda: os.utime(path))
            attempt("attribute", lambda: os.setxattr(path, "user.x", b"x"))
        descriptor = os.open(os.__file__, os.O_RDONLY)
        attempt("mode by descriptor", lambda: changed(descriptor, lambda: os.fchmod(descriptor, 0o600)))
        attempt("times by descriptor", lambda: changed(descriptor, lambda: os.utime(descriptor, (0, 0))))
        """,
    ),
    Attack(
        "device files and sockets in the scratch folder",
        """
        attempt("block device", lambda: os.mknod("disk", 0o60666, os.makedev(8, 0)))
        attempt("character device", lambda: os.mknod("memory", 0o20666, os.makedev(1, 1)))
        attempt("socket", lambda: socket.socket(socket.AF_UNIX).bind("own"))
        """,
    ),
    Attack(
        "poisoned byte code for the next program",
        """
        import importlib.util
        for module in ["os", "json", "random"]:
            cached = importlib.util.cache_from_source(importlib.util.find_spec(module).origin or os.__file__)
            attempt(module, lambda: open(cached, "wb").write(b"x"))
        attempt("path file", lambda: open(os.path.join(os.path.dirname(os.__file__), "site-packages", "x.pth"), "w"))
        """,
    ),
    Attack(
        "one endless file",
        """
        with open("big", "wb") as file:
            while True:
                file.write(b"x" * (1 << 20))
                file.flush()
        """,
        statuses=("error", "killed"),
    ),
    Attack(
        "many files until the disk is full",
        """
        block = b"x" * (1 << 20)
        for number in range(4000):
            with open(f"file{number}", "wb") as file:
                file.write(block)
        print("ESCAPED: wrote 4 GB")
        """,
        statuses=("error", "killed"),
    ),
    Attack(
        "a million empty files",
        """
        for number in range(1_000_000):
            os.close(os.open(f"file{number}", os.O_CREAT | os.O_WRONLY))
        print("ESCAPED: made them all")
        """,
        statuses=("error", "killed"),
    ),
    Attack(
        "space that is reserved and not written",
        """
        descriptor = os.open("reserved", os.O_CREAT | os.O_RDWR)
        for mode in (0, 1, 3, 16, 17):
            attempt(f"mode {mode}", lambda: call("fallocate", descriptor, mode, 0, 1 << 30))
        escaped_if(os.fstat(descriptor).st_blocks > 0, "blocks reserved")
        """,
    ),
    Attack(
        "files removed while open",
        """
        held, block = [], b"x" * (1 << 20)
        for number in range(40):
            held.append(open(f"file{number}", "wb"))
            os.unlink(f"file{number}")
            for _ in range(30):
                held[-1].write(block)
            held[-1].flush()
        print("ESCAPED: wrote 1,200 MB")
        """,
        statuses=("error", "killed"),
        timeout_seconds=20.0,
    ),
    Attack(
        "removed files that only a memory map holds",
        """
        import mmap
        held, block = [], b"x" * (1 << 20)
        for number in range(40):
            with open(f"file{number}", "w+b") as file:
                for _ in range(30):
                    file.write(block)
                file.flush()
                held.append(mmap.mmap(file.fileno(), 4096))
            os.unlink(f"file{number}")
        print("ESCAPED: wrote 1,200 MB")
        """,
        statuses=("error", "killed"),
        timeout_seconds=20.0,
    ),
    Attack(
        "files in a folder that nobody may list",
        """
        os.mkdir("closed", 0o300)
        block = b"x" * (1 << 20)
        for number in range(40):
            with open(f"closed/file{number}", "wb") as file:
                for _ in range(30):
                    file.write(block)
        print("ESCAPED: wrote 1,200 MB")
        """,
        statuses=("error", "killed"),
        timeout_seconds=20.0,
    ),
    Attack(
        "folders too deep to remove",
        """
        try:
            for _ in range(3000):
                os.mkdir("d")
                os.chdir("d")
        except OSError as error:
            print("contained:", error.strerror)
        print("made")
        """,
        statuses=("ok", "killed"),
        second='escaped_if(os.listdir(".") != [], "left-overs of the run before")',
    ),
    Attack(
        "folders that nobody may enter, names that nobody can type",
        r"""
        os.mkdir("closed", 0)
        os.makedirs("outer/inner", 0o755)
        open("-rf", "w").close(); open("new\nline", "w").close(); open(b"\xff\xfe", "w").close()
        os.mkfifo("pipe") if os.name != "posix" else None
        os.symlink("/", "root"); os.symlink("loop", "loop")
        print("made")
        """,
        prints="made",
        second='escaped_if(os.listdir(".") != [], "left-overs of the run before")',
    ),
    Attack(
        "out-of-memory order of other processes",
        """
        for process in ["self", OWNER, VICTIM]:
            attempt("score", lambda: open(f"/proc/{process}/oom_score_adj", "w").write("-1000"))
        """,
    ),
)
