"""Fork servers: start-up errors, policy, crashes, recycling, and what is left when the owner dies."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from agent0.config import SandboxSettings
from agent0.errors import UsageError
from agent0.sandbox import SandboxError, SandboxPool
from agent0.sandbox.jail import child, limits

TINY = SandboxSettings(preload=(), workers=2)
ROOT_ONLY = pytest.mark.skipif(not limits.is_root(), reason="only root can give programs another user id")


def wait_until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_an_unknown_module_to_preload_is_named():
    with pytest.raises(SandboxError, match=r"'no_such_module' cannot be preloaded.*sandbox\.preload"):
        SandboxPool(SandboxSettings(preload=("no_such_module",))).start()


def test_a_memory_limit_below_what_the_interpreter_needs_names_a_number_that_works():
    with pytest.raises(SandboxError, match=r"set it to \d+ or more") as caught:
        SandboxPool(SandboxSettings(preload=("numpy",), memory_mb=64, workers=1)).start()
    needed = int(str(caught.value).rsplit("set it to ", 1)[1].split()[0])
    with SandboxPool(SandboxSettings(preload=("numpy",), memory_mb=needed, workers=1)) as pool:
        assert pool.run("print(1)").stdout == "1\n"


def test_a_missing_scratch_folder_is_named(tmp_path):
    with pytest.raises(SandboxError, match=r"writable scratch_dir.*missing"):
        SandboxPool(TINY, scratch_dir=tmp_path / "missing").start()


def test_options_out_of_range_are_refused():
    with pytest.raises(UsageError, match="queue_limit"):
        SandboxPool(queue_limit=0)
    with pytest.raises(UsageError, match="no layer landlok"):
        SandboxPool(without=["landlok"])


@pytest.mark.parametrize(
    ("without", "broken"),
    [
        (["seccomp", "net_namespace"], "network"),
        (["seccomp"], "processes"),
        (["landlock", "mount_namespace"], "files"),
        (["limits"], "memory"),
        pytest.param(["user_id"], "privileges", marks=ROOT_ONLY),
    ],
)
def test_strict_runs_nothing_without_the_layer_that_it_needs(without, broken):
    with pytest.raises(SandboxError, match=rf"policy 'strict' runs nothing.*{broken}.*which needs"):
        SandboxPool(TINY, without=without).start()


@ROOT_ONLY
def test_root_without_another_user_id_says_why_and_has_no_capabilities():
    source = """
import ctypes
header, held = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
print(ctypes.CDLL(None).capget(header, held), any(held))
"""
    with SandboxPool(TINY.model_copy(update={"policy": "permissive"}), without=["user_id", "mount_namespace"]) as pool:
        off = {layer.name: layer.detail for layer in pool.report.layers if not layer.on}
        assert "capabilities" not in off
        assert pool.run(source).stdout == "0 False\n"


@ROOT_ONLY
def test_an_interpreter_that_another_user_cannot_read_is_refused_with_the_reason():
    if all(folder.stat().st_mode & 0o001 for folder in Path(os.__file__).parents):
        pytest.skip("every user can read this interpreter")
    with pytest.raises(SandboxError, match=r"privileges \(run as root\).*user_id \(it could not read "):
        SandboxPool(TINY, without=["mount_namespace"]).start()


def test_programs_that_would_need_the_capabilities_of_root_are_refused_under_any_policy(monkeypatch):
    confinement = child.Confinement({}, [], [], None)
    monkeypatch.setattr(confinement, "place", lambda folders, slot, seconds: None)
    monkeypatch.setattr(confinement, "_first_failure", lambda place: f"capabilities\t{child._UNREADABLE}")
    with pytest.raises(OSError, match=r"root's capabilities.* install Python where every user may read"):
        confinement.trial(SimpleNamespace(remove=lambda slot: None))


@ROOT_ONLY
def test_pools_and_servers_share_no_user_id_and_so_no_count_of_threads():
    source = "import os, threading, time\n{}time.sleep(0.5)\nprint(os.getuid())"
    many = "for _ in range(70):\n    threading.Thread(target=time.sleep, args=(1.0,)).start()\n"
    with SandboxPool(TINY, workers_per_server=1) as one, SandboxPool(TINY) as other:
        running = [pool.submit(source.format(many), timeout_seconds=30) for pool in (one, other) for _ in range(2)]
        results = [future.result() for future in running]
    assert [result.status for result in results] == ["ok"] * 4, results
    assert len({result.stdout for result in results}) == 4


def test_permissive_runs_with_what_there_is():
    settings = SandboxSettings(preload=(), workers=1, policy="permissive")
    with SandboxPool(settings, without=["seccomp"]) as pool:
        assert not pool.report.strict
        assert pool.run("print(1)").stdout == "1\n"


def test_permissive_tells_what_nothing_holds_back():
    settings = SandboxSettings(preload=(), workers=1, memory_mb=64, policy="permissive")
    off = [
        "seccomp",
        "landlock",
        "limits",
        "pids_cgroup",
        "user_id",
        *(f"{n}_namespace" for n in ("net", "mount", "user")),
    ]
    with SandboxPool(settings, without=off) as pool:
        assert {guarantee.name for guarantee in pool.report.guarantees if not guarantee.proven} == {
            "network",
            "files",
            "processes",
            "memory",
            *(["privileges"] if limits.is_root() else []),
        }


def test_without_seccomp_descendants_are_killed_all_the_same(tmp_path):
    settings = SandboxSettings(preload=(), workers=1, policy="permissive")
    survivor = "agent0-survivor-test"
    source = f"""
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        import ctypes
        ctypes.CDLL(None).prctl(15, b"{survivor[:15]}", 0, 0, 0)
        time.sleep(60)
    os._exit(0)
time.sleep(0.2)
print("ended")
"""
    with SandboxPool(settings, without=["seccomp"]) as pool:
        assert pool.run(source, timeout_seconds=5).stdout == "ended\n"
        assert pool.run("print(1)").ok
        assert not [process for process in psutil.process_iter(["name"]) if process.info["name"] == survivor[:15]]


@pytest.mark.parametrize("victim", ["supervisor", "server"])
def test_a_crashed_server_is_replaced_and_loses_no_request_that_had_not_started(victim, tmp_path):
    with SandboxPool(TINY, scratch_dir=tmp_path) as pool:
        running = [pool.submit("print('started', flush=True)\nwhile True: pass", timeout_seconds=30) for _ in range(2)]
        waiting = [pool.submit(f"print({number})") for number in range(20)]
        wait_until(lambda: pool.gauges().running == 2)
        time.sleep(0.1)
        process = psutil.Process(pool.server_pids()[0])
        (process if victim == "supervisor" else process.children()[0]).send_signal(signal.SIGKILL)
        assert [future.result(timeout=20).stdout for future in waiting] == [f"{number}\n" for number in range(20)]
        for future in running:
            result = future.result(timeout=20)
            assert (result.status, result.stdout) == ("killed", "started\n")
            assert "fork server died" in result.stderr
        assert pool.gauges().restarts == 1
    assert list(tmp_path.iterdir()) == []


def test_a_server_is_recycled_after_its_share_of_runs():
    with SandboxPool(TINY, recycle_after=20) as pool:
        first = set(pool.server_pids())
        wait_until(lambda: all(result.ok for result in pool.run_many(["1"] * 25)) and pool.gauges().recycled >= 2)
        assert not first & set(pool.server_pids())
        assert pool.gauges().restarts == 0


def test_several_servers_share_the_work():
    settings = SandboxSettings(preload=(), workers=3)
    with SandboxPool(settings, workers_per_server=2) as pool:
        assert len(pool.server_pids()) == 2
        before = time.monotonic()
        assert all(result.ok for result in pool.run_many(["import time; time.sleep(0.5)"] * 3))
        assert time.monotonic() - before < 1.4


def test_a_pool_leaves_nothing_behind(tmp_path):
    with SandboxPool(TINY, scratch_dir=tmp_path) as warm:
        warm.run("1")
    descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with SandboxPool(TINY, scratch_dir=tmp_path) as pool:
        pool.run_many(["open('file', 'w').write('x')"] * 20)
        pids = pool.server_pids()
        children = [child.pid for pid in pids for child in psutil.Process(pid).children(recursive=True)]
        assert children
    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in [*pids, *children]))
    assert list(tmp_path.iterdir()) == []
    assert len(os.listdir("/proc/self/fd")) == descriptors  # noqa: PTH208


OWNER = """
import sys, time
from pathlib import Path
from agent0.config import SandboxSettings
from agent0.sandbox import SandboxPool
with SandboxPool(SandboxSettings(preload=(), workers=1), scratch_dir=Path(sys.argv[1])) as pool:
    pool.submit("while True: pass", timeout_seconds=600)
    time.sleep(0.2)
    print(*pool.server_pids(), flush=True)
    time.sleep(600)
"""


def test_everything_dies_with_an_owner_that_is_killed(tmp_path):
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    supervisor = psutil.Process(int(owner.stdout.readline()))
    family = [supervisor, *supervisor.children(recursive=True)]
    assert len(family) == 3  # supervisor, server, program
    owner.kill()
    owner.wait()
    owner.stdout.close()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
    wait_until(lambda: list(tmp_path.iterdir()) == [])


def test_the_server_has_no_secret_and_no_descriptor_of_its_owner(monkeypatch, tmp_path):
    monkeypatch.setenv("AGENT0_TEST_SECRET", "hidden")
    with open(tmp_path / "held", "w") as held:  # noqa: PTH123
        os.set_inheritable(held.fileno(), True)
        with SandboxPool(TINY) as pool:
            supervisor = psutil.Process(pool.server_pids()[0])
            for process in [supervisor, *supervisor.children()]:
                assert b"hidden" not in Path(f"/proc/{process.pid}/environ").read_bytes()
                with contextlib.suppress(psutil.AccessDenied):
                    assert str(tmp_path / "held") not in [file.path for file in process.open_files()]


@pytest.mark.slow
def test_a_server_that_hangs_is_replaced_and_its_run_reported():
    with SandboxPool(TINY) as pool:
        running = pool.submit("print('started')\nwhile True: pass", timeout_seconds=0.5)
        wait_until(lambda: pool.gauges().running == 1)
        time.sleep(0.1)
        psutil.Process(pool.server_pids()[0]).children()[0].send_signal(signal.SIGSTOP)
        assert running.result(timeout=30).status == "killed"
        assert pool.run("1").ok
        assert pool.gauges().restarts == 1


def test_a_program_does_not_see_the_name_of_its_host():
    with SandboxPool(TINY) as pool:
        if not any(layer.name == "uts_namespace" and layer.on for layer in pool.report.layers):
            pytest.skip("this machine grants no namespace for host names")
        assert (
            pool.run("import os, platform\nprint(os.uname().nodename, platform.node())").stdout == "sandbox sandbox\n"
        )


def test_a_lock_of_a_program_locks_nobody_else_out():
    source = """
import fcntl, os, time
library = os.open(os.__file__, os.O_RDONLY)
fcntl.flock(library, fcntl.LOCK_EX)
fcntl.lockf(library, fcntl.LOCK_SH)
with open("own", "w") as own:
    fcntl.flock(own, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.lockf(own, fcntl.LOCK_EX | fcntl.LOCK_NB)
import sqlite3
with sqlite3.connect("data.db") as database:
    database.execute("create table t (n)")
    database.execute("insert into t values (5)")
    print(database.execute("select n from t").fetchone(), flush=True)
time.sleep(1)
"""
    with SandboxPool(TINY) as pool, open(os.__file__) as library:  # noqa: PTH123
        running = pool.submit(source)
        while not running.done():
            fcntl.flock(library, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(library, fcntl.LOCK_UN)
            time.sleep(0.02)
        assert (running.result().stdout, running.result().stderr) == ("(5,)\n", "")


@pytest.mark.parametrize(
    "source",
    [
        "import os\nfor _ in range(60):\n    os.mkdir('n' * 255)\n    os.chdir('n' * 255)",
        "import tempfile\nkept = tempfile.TemporaryFile()\nkept.write(b'x' * (8 << 20))\nkept.flush()",
        "import mmap, tempfile\nwith tempfile.TemporaryFile() as f:\n    f.truncate(4096)\n"
        "    kept = mmap.mmap(f.fileno(), 4096)",
        "import os\nfor n in range(20):\n    open(str(n), 'wb').write(b'x' * (8 << 20))\n    os.unlink(str(n))",
        "import os\nwith open('f', 'wb') as f:\n    os.posix_fallocate(f.fileno(), 0, 8 << 20)",
        "import os\nos.mkdir('d', 0o300)\nopen('d/f', 'w').write('x')",
        "import pathlib, shutil\npathlib.Path('a').touch()\nshutil.copy('a', 'b')\nshutil.copy2('a', 'c')\n"
        "pathlib.Path('d').mkdir()\nshutil.copytree('d', 'e')\npathlib.Path('a').chmod(0o600)\nopen('b').read()",
        "import tarfile\nopen('a', 'w').write('x')\nwith tarfile.open('t', 'w') as t:\n    t.add('a')\n"
        "with tarfile.open('t') as t:\n    t.extractall('out')\nassert open('out/a').read() == 'x'",
    ],
)
@pytest.mark.parametrize("folders", ["plain_folder", "own_root"])
def test_what_honest_programs_do_with_files_is_let_through(request, folders, source):
    result = request.getfixturevalue(folders).run(source + "\nimport time\ntime.sleep(0.3)\nprint('done')")
    assert (result.status, result.stdout, result.stderr) == ("ok", "done\n", "")


@pytest.fixture(scope="module")
def plain_folder():
    # Permissive, because root may have its interpreter where no other user can read it.
    with SandboxPool(TINY.model_copy(update={"policy": "permissive"}), without=["mount_namespace"]) as running:
        yield running


@pytest.fixture(scope="module")
def own_root():
    with SandboxPool(TINY) as running:
        yield running
