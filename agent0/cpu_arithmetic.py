"""How fast this machine's CPU multiplies in the types that training and drawing may use.

A CPU without instructions for bfloat16 takes eight times as long in it as in float32, one with them a third.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Mapping
from typing import Literal

from agent0.config import Config
from agent0.findings import Finding

MUCH_FASTER = 1.5
_ROWS, _INPUTS, _OUTPUTS = 512, 576, 1536  # of a layer of SmolLM2-135M, for a small batch
_SECONDS = 0.1


def cpu_rates() -> dict[str, float]:
    """Return GFLOP/s of a product of matrices by type, as training computes it; empty where a GPU computes."""
    import torch

    if torch.cuda.is_available():
        return {}
    layer, rows = torch.nn.Linear(_INPUTS, _OUTPUTS, bias=False), torch.randn(_ROWS, _INPUTS)
    rates = {}
    for name, mixed in (("float32", False), ("bfloat16", True)):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            layer(rows)
            times = [time.perf_counter()]
            while times[-1] - times[0] < _SECONDS:
                layer(rows)
                times.append(time.perf_counter())
        shortest = min(later - earlier for earlier, later in itertools.pairwise(times))  # other work only adds to one
        rates[name] = 2e-9 * _ROWS * _INPUTS * _OUTPUTS / shortest
    return rates


@functools.cache
def fastest_type() -> Literal["float32", "bfloat16"]:
    """Return what the settings' 'fastest' means here: bfloat16 on GPUs and on CPUs much faster in it, else float32."""
    rates = cpu_rates()
    return "bfloat16" if not rates or rates["bfloat16"] >= MUCH_FASTER * rates["float32"] else "float32"


def arithmetic_finding(rates: Mapping[str, float], config: Config) -> Finding:
    """Return the rates as a row of a table, with the settings to change where they choose a much slower type.

    Args:
        rates: GFLOP/s by type, both types.
        config: settings that run on the CPU.
    """
    fast, slow = sorted(rates, key=lambda name: -rates[name])
    chosen = {"training.precision": config.training.precision}
    if config.rollout.backend == "transformers":
        chosen["rollout.dtype"] = "float32" if config.rollout.dtype == "auto" else config.rollout.dtype
    changes = [name for name, value in chosen.items() if value == slow]
    figures = ", ".join(f"{name} {rate:,.0f}" for name, rate in rates.items())
    if not changes or rates[fast] < MUCH_FASTER * rates[slow]:
        return Finding("arithmetic", "ok", f"{figures} GFLOP/s")
    options = " ".join(f"--set {name}={fast}" for name in changes)
    return Finding("arithmetic", "warn", f"{figures} GFLOP/s", f"{rates[fast] / rates[slow]:.1f} × as fast: {options}")
