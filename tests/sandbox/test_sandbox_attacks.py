"""The attack corpus under policy strict: with every layer, in a restricted container, and the check of the check."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from agent0.config import SandboxSettings
from agent0.sandbox import SandboxPool
from agent0.sandbox.attack import World, run_corpus
from agent0.sandbox.attacks import CORPUS
from agent0.sandbox.attacks.model import ESCAPED

HERE = Path(__file__).parent
NAMESPACES = [f"{kind}_namespace" for kind in ("user", "pid", "net", "ipc", "uts", "mount")]


@pytest.fixture(scope="module")
def world():
    with World() as made:
        yield made


@pytest.fixture(scope="module")
def pool(world):
    with SandboxPool(SandboxSettings(preload=(), workers=2, memory_mb=256)) as running:
        yield running


def test_the_corpus_is_large_and_its_names_are_unique():
    assert len(CORPUS) >= 60
    assert len({attack.name for attack in CORPUS}) == len(CORPUS)


@pytest.mark.parametrize("attack", CORPUS, ids=lambda attack: attack.name.replace(" ", "-"))
def test_attack_is_contained(attack, pool, world):
    (verdict,) = run_corpus(pool, world, [attack])
    assert verdict.contained, verdict.why


@pytest.mark.parametrize(
    "attack", [a for a in CORPUS if a.works_bare], ids=lambda attack: attack.name.replace(" ", "-")
)
def test_the_same_attack_escapes_from_a_bare_interpreter(attack, tmp_path):
    with World() as world:
        done = subprocess.run(
            [sys.executable, "-I", "-c", world.prelude() + attack.program],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert ESCAPED in done.stdout, done.stdout + done.stderr


def report(*command):
    done = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_all_attacks_are_contained_in_a_restricted_container(tmp_path):
    found = report(HERE / "container_like.py", "restricted", tmp_path, sys.executable, HERE / "attack_report.py")
    assert found["failures"] == {}
    assert found["uid"] != 0
    on = {name for name, taken in found["layers"].items() if taken}
    assert not on & {*NAMESPACES, "memory_cgroup", "user_id", "minimal_root"}
    assert {"landlock", "seccomp", "limits", "no_new_privileges"} <= on


@pytest.mark.slow
def test_all_attacks_are_contained_as_an_unprivileged_user(tmp_path):
    found = report(HERE / "container_like.py", "user", tmp_path, sys.executable, HERE / "attack_report.py")
    assert found["failures"] == {}
    assert found["uid"] != 0


@pytest.mark.slow
def test_all_attacks_are_contained_by_namespaces_without_landlock(pool):
    if not any(layer.name == "minimal_root" and layer.on for layer in pool.report.layers):
        pytest.skip("this machine grants no mount namespace")
    assert report(HERE / "attack_report.py", "landlock")["failures"] == {}
