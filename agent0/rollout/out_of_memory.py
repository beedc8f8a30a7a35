"""When memory does not suffice: a GPU's and a CPU's allocator say so each in its own way."""

from __future__ import annotations

import torch

_SAID_OF_CPUS = ("can't allocate memory", "DefaultCPUAllocator: not enough memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a GPU's or this machine's memory does not suffice.

    The CPU's allocator of torch has no class of error of its own.
    """
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(said in str(error) for said in _SAID_OF_CPUS)
