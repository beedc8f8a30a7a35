"""Parts of the jail on their own: tables, messages, cleaning up after hostile programs, limits of the watch."""

import ctypes.util
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent0.sandbox.jail import paths, scratch, seccomp, syscalls, wire

FINITE = st.floats(min_value=0, max_value=1e9)


@given(st.integers(0, 2**64 - 1), FINITE)
def test_requests_survive_the_wire(number, limit):
    request = wire.Request(wire.RUN, number, limit)
    assert wire.Request.unpack(request.pack()) == request


@given(st.integers(0, 2**64 - 1), st.integers(-(2**31), 2**31 - 1), st.integers(0, 255), FINITE, FINITE)
def test_results_survive_the_wire(number, status, reason, wall, cpu):
    result = wire.Result(number, status, reason, wall, cpu, 2**40)
    assert wire.Result.unpack(result.pack()) == result


@pytest.mark.parametrize("architecture", ["x86_64", "aarch64"])
def test_call_numbers_are_those_of_libseccomp(architecture):
    if ctypes.util.find_library("seccomp") is None:
        pytest.skip("libseccomp is not installed")
    library = pytest.importorskip("pyseccomp")
    arch = {"x86_64": library.Arch.X86_64, "aarch64": library.Arch.AARCH64}[architecture]
    ours = syscalls.numbers(architecture)
    assert len(ours) > 150
    theirs = {name: library.resolve_syscall(arch, name) for name in ours}
    assert ours == theirs


def test_an_unknown_machine_is_named():
    with pytest.raises(OSError, match="riscv64"):
        syscalls.numbers("riscv64")


def interpret(program, number, arguments=(), architecture=None):
    """What the filter answers: a plain interpreter of classic BPF over `seccomp_data`."""
    data = bytearray(64)
    data[0:4] = number.to_bytes(4, "little")
    data[4:8] = (architecture or syscalls.audit_architecture("x86_64")).to_bytes(4, "little")
    for place, value in enumerate(arguments):
        data[16 + 8 * place : 24 + 8 * place] = value.to_bytes(8, "little")
    place = accumulator = 0
    while True:
        code = int.from_bytes(program[8 * place : 8 * place + 2], "little")
        yes, no = program[8 * place + 2], program[8 * place + 3]
        constant = int.from_bytes(program[8 * place + 4 : 8 * place + 8], "little")
        place += 1
        match code:
            case 0x20:
                accumulator = int.from_bytes(data[constant : constant + 4], "little")
            case 0x54:
                accumulator &= constant
            case 0x05:
                place += constant
            case 0x15:
                place += yes if accumulator == constant else no
            case 0x35:
                place += yes if accumulator >= constant else no
            case 0x45:
                place += yes if accumulator & constant else no
            case 0x06:
                return constant


ALLOW, EPERM, ENOSYS, KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000


@given(st.integers(0, 2**32 - 1))
def test_the_filter_lets_through_what_is_listed_and_nothing_else(number):
    numbers = syscalls.numbers("x86_64")
    allowed = {numbers[name] for name in syscalls.ALLOWED}
    checked = {numbers[name] for name in seccomp._checks()}
    answer = interpret(seccomp.build("x86_64"), number)
    if number in allowed:
        assert answer == ALLOW
    elif number not in checked:
        assert answer == (EPERM if number <= 467 else ENOSYS)


def test_the_filter_lets_through_every_listed_call_on_both_machines():
    for architecture in ("x86_64", "aarch64"):
        numbers = syscalls.numbers(architecture)
        program = seccomp.build(architecture)
        for name in syscalls.ALLOWED:
            if name in numbers:
                arch = syscalls.audit_architecture(architecture)
                assert interpret(program, numbers[name], architecture=arch) == ALLOW, name


@pytest.mark.parametrize(
    ("name", "arguments", "answer"),
    [
        ("clone", (0x3D0F00,), ALLOW),
        ("clone", (17,), EPERM),
        ("clone", (0x10000000 | 17,), EPERM),
        ("clone", (0x7D0F00,), ALLOW),
        ("clone", (0x3D0F00 | 0x00020000,), EPERM),
        ("clone", (0x3D0F00 | 0x10000000,), EPERM),
        ("clone", (0x3D0F00 | 17,), EPERM),
        ("fallocate", (3, 1), 0x0005005F),
        ("flock", (3, 2), 0x00050000),
        ("fcntl", (3, 6), 0x00050000),
        ("fcntl", (3, 38), 0x00050000),
        ("fcntl", (3, 5), ALLOW),
        ("openat2", (), ENOSYS),
        ("chmod", (1, 0o777), 0x00050000),
        ("fchmodat2", (3, 1, 0o777), 0x00050000),
        ("utimensat", (3, 1, 0), EPERM),
        ("utimensat", (3, 1, 5), 0x00050000),
        ("utimensat", (3, 1, 5 << 32), 0x00050000),
        ("listxattr", (1, 0, 0), 0x0005005F),
        ("clone3", (), ENOSYS),
        ("kill", (0x5049445F, 9), ALLOW),  # the place of the process id
        ("kill", (1, 9), EPERM),
        ("kill", (2**64 - 1, 9), EPERM),
        ("prlimit64", (0,), ALLOW),
        ("prlimit64", (7,), EPERM),
        ("prctl", (15,), ALLOW),
        ("prctl", (22,), EPERM),
        ("ioctl", (0, 0x5401), ALLOW),
        ("ioctl", (0, 0x5412), 0x00050019),
        ("fcntl", (0, 1), ALLOW),
        ("fcntl", (0, 8), EPERM),
        ("socketpair", (1, 1 | 0o2000000), ALLOW),
        ("socketpair", (1, 2), EPERM),
        ("socketpair", (2, 1), EPERM),
        ("sendto", (3, 0, 0, 0, 0), ALLOW),
        ("sendto", (3, 0, 0, 0, 1), EPERM),
        ("sendto", (3, 0, 0, 0, 1 << 32), EPERM),
        ("unshare", (0,), EPERM),
    ],
)
def test_the_filter_looks_at_arguments(name, arguments, answer):
    assert interpret(seccomp.build("x86_64"), syscalls.numbers("x86_64")[name], arguments) == answer


def test_a_call_of_another_architecture_kills():
    assert interpret(seccomp.build("x86_64"), 1, architecture=0x40000003) == KILL


def test_a_hostile_tree_is_removed_whole(tmp_path):
    top = tmp_path / "run"
    deep = top
    deep.mkdir()
    here = os.open(top, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    (top / "closed").mkdir()
    (top / "closed" / "inner").mkdir()
    (top / "closed").chmod(0)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    (top / "link").symlink_to(outside)
    (top / "loop").symlink_to("loop")
    scratch.remove_tree(str(top))
    assert [path.name for path in tmp_path.iterdir()] == ["outside"]
    assert (outside / "kept").read_text() == "kept"


def test_a_tree_is_over_by_bytes_entries_or_depth(tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    assert not scratch.over(str(tmp_path), 1 << 20)
    assert scratch.over(str(tmp_path), 50_000)
    many = tmp_path / "many"
    many.mkdir()
    for number in range(scratch.MAX_ENTRIES + 1):
        (many / str(number)).touch()
    assert scratch.over(str(many), 1 << 30)
    assert not scratch.over(str(tmp_path / "gone"), 1)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 255), st.integers(0, 80), st.integers(0, 40))
def test_a_tree_is_measured_however_long_its_paths_are(tmp_path, length, depth, kib):
    with tempfile.TemporaryDirectory(dir=tmp_path) as top:
        here = os.open(top, os.O_RDONLY)
        for _ in range(depth):
            os.mkdir("n" * length, dir_fd=here)
            below = os.open("n" * length, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        descriptor = os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here)
        os.write(descriptor, b"x" * (kib << 10))
        os.fsync(descriptor)
        os.close(descriptor)
        os.close(here)
        opened = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        assert not scratch.over(top, (kib << 10) + (depth + 3) * 8192)
        assert scratch.over(top, (kib << 10) - 1)
        assert len(os.listdir("/proc/self/fd")) == opened  # noqa: PTH208
        scratch.remove_tree(top)
        Path(top).mkdir()


def test_a_tree_is_measured_without_following_links(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_bytes(b"x" * 1_000_000)
    (tmp_path / "top").mkdir()
    (tmp_path / "top" / "link").symlink_to(tmp_path / "outside")
    assert not scratch.over(str(tmp_path / "top"), 100_000)


def test_readable_paths_hold_the_library_and_no_home():
    found = paths.readable(paths.site_folders())
    assert any(os.__file__.startswith(path + "/") for path in found)
    assert not {"/", "/root", "/home", "/usr", "/etc", os.path.expanduser("~"), os.getcwd()} & set(found)  # noqa: PTH109, PTH111
    assert not any(a != b and b.startswith(a + "/") for a in found for b in found)
