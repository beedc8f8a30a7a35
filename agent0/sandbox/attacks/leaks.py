"""Leaks from one run to the next: each attack leaves something, its `second` looks for it."""

from agent0.sandbox.attacks.model import Attack

ATTACKS = (
    Attack(
        "files",
        """
        open("left", "w").write("secret")
        os.makedirs("a/b/c")
        print(os.getcwd())
        """,
        second='escaped_if(os.listdir(".") != [], os.listdir("."))',
    ),
    Attack(
        "patched modules",
        """
        import math, json
        math.pi = 3
        json.loads = lambda text: "patched"
        sys.modules["planted"] = math
        import builtins
        builtins.planted = True
        """,
        second="""
import math, json, builtins
escaped_if(math.pi == 3 or json.loads("1") != 1 or "planted" in sys.modules or hasattr(builtins, "planted"), "patch")
""",
    ),
    Attack(
        "environment, folder, limits and handlers",
        """
        import signal
        os.environ["PLANTED"] = "1"
        os.umask(0)
        sys.setrecursionlimit(77777)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        os.mkdir("sub"); os.chdir("sub")
        """,
        second="""
import signal
escaped_if("PLANTED" in os.environ, "environment")
escaped_if(sys.getrecursionlimit() == 77777, "recursion limit")
escaped_if(signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN, "handler")
escaped_if(os.getcwd().endswith("sub"), "folder")
escaped_if(os.umask(0) == 0, "umask")
""",
    ),
    Attack(
        "random state",
        """
        import random
        random.seed(1)
        print(random.random())
        """,
        second="""
import random
escaped_if(random.random() in (0.13436424411240122, 0.8474337369372327), "seeded generator")
""",
    ),
    Attack(
        "text of the program before",
        """
        planted = "needle-" + "haystack-marker-of-the-first-run"
        print(len(planted))
        """,
        second="""
import gc
needle = "haystack-marker" + "-of-the-first-run"
names = [thing for thing in gc.get_objects() if isinstance(thing, dict)]
texts = [value for thing in names for value in list(thing.values()) if isinstance(value, str)]
escaped_if(any(text.endswith(needle) and text != needle for text in texts), "text of another program in memory")
import linecache
escaped_if(len([1 for name in linecache.cache if name.startswith("<program")]) != 1, "sources")
""",
    ),
    Attack(
        "shared memory and queues",
        """
        attempt("segment", lambda: call("shmget", 4711, 4096, 0o1666))
        attempt("queue", lambda: call("msgget", 4711, 0o1666))
        attempt("named queue", lambda: call("mq_open", 0, 0o102, 0o666, 0))
        """,
        second='attempt("segment", lambda: call("shmget", 4711, 4096, 0o666))',
    ),
    Attack(
        "numbers that two runs share",
        """
        import random, tempfile, uuid
        print(random.random(), uuid.uuid4(), os.path.basename(tempfile.mktemp()))
        """,
        second="""
import random, tempfile, uuid
mine = [str(random.random()), str(uuid.uuid4()), os.path.basename(tempfile.mktemp())]
escaped_if(any(text in FIRST for text in mine), f"{mine} of {FIRST}")
""",
    ),
)
