"""Attacks by output."""

from agent0.sandbox.attacks.model import Attack

ATTACKS = (
    Attack("endless lines", "while True: print('line')", statuses=("output_limit",), prints="[output cut at"),
    Attack(
        "endless line",
        """
        while True:
            os.write(1, b"x" * 65536)
        """,
        statuses=("output_limit",),
        prints="[output cut at",
    ),
    Attack(
        "endless errors",
        """
        while True:
            print("line", file=sys.stderr)
        """,
        statuses=("output_limit",),
        complains="[output cut at",
    ),
    Attack(
        "endless output while deaf to a closed pipe",
        """
        import signal
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        while True:
            try:
                os.write(1, b"x" * 65536)
            except OSError:
                pass
        """,
        statuses=("output_limit",),
    ),
    Attack("bytes that are no text", r"os.write(1, b'\xff\xfe\x00\x80abc')", prints="\ufffd\ufffd\x00\ufffdabc"),
    Attack(
        "terminal control sequences",
        r"""
        print("\x1b[2J\x1b]0;title\x07\x9b31m")
        """,
        prints="\x1b[2J",
    ),
    Attack(
        "forged results on every descriptor",
        r"""
        import json, struct
        result = struct.pack("<BQiBddQ", 3, 1, 0, 0, 0.0, 0.0, 0)
        frames = [json.dumps({"status": "ok", "stdout": "ESCAPED"}).encode(), result, b"R", b"Fforged", b"\0" * 64]
        sys.stdout.flush()
        for descriptor in range(3, 256):
            for frame in frames:
                try:
                    os.write(descriptor, frame)
                except OSError:
                    pass
        os._exit(7)
        """,
        statuses=("error",),
        exit_code=7,
        silent=True,
    ),
    Attack(
        "closed standard streams",
        """
        print("kept")
        sys.stdout.close()
        os.close(1)
        os.close(2)
        """,
        prints="kept",
    ),
    Attack("a lone surrogate", "print('\\ud800')", statuses=("error",), complains="UnicodeEncodeError"),
    Attack(
        "huge value at the end",
        "'x' * (10 ** 7)",
        statuses=("output_limit",),
        prints="[output cut at",
    ),
    Attack(
        "value whose representation never ends",
        """
        class Endless:
            def __repr__(self):
                while True:
                    pass
        Endless()
        """,
        statuses=("timeout",),
        timeout_seconds=0.4,
    ),
)
