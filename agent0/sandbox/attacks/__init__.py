"""The attack corpus: hostile programs, each with what must hold after it ran.

One module per kind of attack. `agent0.sandbox.attack` runs them; a program is plain text, standalone but for the
names that `model.PRELUDE` gives it.
"""

from __future__ import annotations

from agent0.sandbox.attacks import (
    cpu,
    endings,
    kernel,
    leaks,
    memory,
    network,
    output,
    processes,
    python,
    reading,
    signals,
    writing,
)
from agent0.sandbox.attacks.model import Attack

_KINDS = (network, reading, writing, processes, memory, cpu, output, signals, kernel, python, leaks, endings)
CORPUS: tuple[Attack, ...] = tuple(attack for kind in _KINDS for attack in kind.ATTACKS)

__all__ = ["CORPUS", "Attack"]
