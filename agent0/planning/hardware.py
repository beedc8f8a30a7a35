"""GPUs in numbers, and clusters written as `8xH200`.

Memory is what a program can use (as torch reports it), a little under what the product name says.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from agent0.errors import UsageError, shortened


@dataclass(frozen=True)
class Gpu:
    """One GPU model: usable memory in GiB, dense bf16 rate in TFLOP/s, memory bandwidth in TB/s."""

    name: str
    memory_gib: float
    tflops: float
    bandwidth: float


GPUS: dict[str, Gpu] = {
    gpu.name: gpu
    for gpu in (
        Gpu("H200", 139.8, 989.0, 4.8),
        Gpu("H100", 79.1, 989.0, 3.35),
        Gpu("A100-80", 79.2, 312.0, 2.04),
        Gpu("A100-40", 39.4, 312.0, 1.555),
        Gpu("L40S", 44.4, 362.0, 0.864),
        Gpu("A10G", 22.1, 70.0, 0.6),
        Gpu("L4", 22.0, 121.0, 0.3),
        Gpu("RTX4090", 23.5, 165.0, 1.008),
        Gpu("B200", 178.0, 2250.0, 8.0),
    )
}
"""Rates and bandwidths from NVIDIA's data sheets (SXM variants where there are any, without sparsity)."""

SPECIFICATION = re.compile(r"(?:(\d{1,6})x)?(\d{1,6})x([A-Za-z][\w-]*)")


@dataclass(frozen=True)
class Cluster:
    """Nodes of equal GPUs."""

    nodes: int
    gpus_per_node: int
    gpu: Gpu

    @property
    def total(self) -> int:
        """GPUs over all nodes."""
        return self.nodes * self.gpus_per_node

    def __str__(self) -> str:
        """The form that `parse_cluster` reads."""
        nodes = f"{self.nodes}x" if self.nodes > 1 else ""
        return f"{nodes}{self.gpus_per_node}x{self.gpu.name}"


def parse_cluster(text: str) -> Cluster:
    """Read `8xH200`, or `2x8xH100` for two nodes of eight.

    Raises:
        UsageError: another form, a count of zero, or an unknown GPU (with the nearest known one).
    """
    match = SPECIFICATION.fullmatch(text.strip())
    if not match or 0 in (int(match[1] or 1), int(match[2])):
        raise UsageError(
            f"--gpus {shortened(text)!r} is not of the form COUNTxGPU or NODESxCOUNTxGPU, e.g. 8xH200 or "
            f"2x8xH100; known GPUs: {', '.join(GPUS)}."
        )
    by_folded_name = {name.casefold(): gpu for name, gpu in GPUS.items()}
    gpu = by_folded_name.get(match[3].casefold())
    if gpu is None:
        name = match[3].casefold()
        longer = [known for known in by_folded_name if known.startswith(name)]
        close = longer or difflib.get_close_matches(name, by_folded_name, n=1, cutoff=0.4)
        hint = f"did you mean {by_folded_name[close[0]].name}? " if close else ""
        raise UsageError(f"The GPU {match[3]!r} is not known; {hint}Known: {', '.join(GPUS)}.")
    return Cluster(int(match[1] or 1), int(match[2]), gpu)
