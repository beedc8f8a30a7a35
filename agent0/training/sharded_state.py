"""Weights and optimizer state of a training as files, each process its share; none of them is a pickle.

torch.distributed.checkpoint writes them as safetensors and cuts them anew for whoever reads: what some processes wrote,
sharded or not, others can read. Of the weights only those are kept that are trained. What is no tensor (learning rate,
betas) is left out: the settings and the scheduler say it. DeepSpeed's states are its own.
"""

from __future__ import annotations

import warnings
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_optimizer_state_dict
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.tensor import DTensor

State = dict[str, dict[str, torch.Tensor]]
"""Tensors by part and name; those of a sharded model are DTensors."""
Files = dict[str, dict[str, int]]
"""Numbers of files, by part and name."""

WEIGHTS, OPTIMIZER = "weights", "optimizer"
FILE_BYTES = 512 << 20
"""Of one file of all processes together: each holds its share of one in memory once more while it writes."""

# A training of one process has no process group, and needs none.
warnings.filterwarnings("ignore", message="torch.distributed is disabled, unavailable or uninitialized")


def final_state(model: torch.nn.Module) -> State:
    """Return the trained weights of a model as they lie in memory: what a training is for, once it has ended."""
    return {WEIGHTS: _trained(model)}


def training_state(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> State:
    """Return the trained weights and the optimizer's tensors as they lie in memory; an optimizer of no step gets its.

    Args:
        model: as the trainer holds it.
        optimizer: of those weights.
    """
    flat = get_optimizer_state_dict(model, optimizer, options=StateDictOptions(flatten_optimizer_state_dict=True))
    moments: dict[str, Any] = {name: value for name, value in flat.items() if name.startswith("state.")}
    return final_state(model) | {OPTIMIZER: moments}


def state_bytes(state: State) -> int:
    """Return the bytes of a state, the shares of all processes together."""
    return sum(tensor.numel() * tensor.element_size() for tensors in state.values() for tensor in tensors.values())


def own_share(state: State) -> State:
    """Return what this process writes of a state: its share of sharded tensors, and every n-th of those that all have.

    What is left out others write; nothing is copied, or written, twice.
    """
    if not dist.is_initialized():
        return state
    process, processes = dist.get_rank(), dist.get_world_size()
    return {
        part: {
            name: tensor
            for number, (name, tensor) in enumerate(tensors.items())
            if isinstance(tensor, DTensor) or number % processes == process
        }
        for part, tensors in state.items()
    }


def file_numbers(state: State) -> Files:
    """Return for each tensor of a state the number of the file of its part that it goes into, from 1 on."""
    numbers = {}
    for part, tensors in state.items():
        ends = accumulate(tensor.numel() * tensor.element_size() for tensor in tensors.values())
        numbers[part] = {name: 1 + end // FILE_BYTES for name, end in zip(tensors, ends, strict=True)}
    return numbers


def write_state(share: State, files: Files, folder: Path, group: dist.ProcessGroup | None) -> None:
    """Write this process's share of a state into a folder, together with the other processes of `group`.

    Args:
        share: see `own_share`; in the host's memory.
        files: see `file_numbers`.
        folder: gets a folder for each part.
        group: None where this process is alone.

    Raises:
        CheckpointException: a process cannot write.
    """
    for part, tensors in share.items():
        writer = HuggingFaceStorageWriter(str(folder / part), files[part], save_distributed=True)
        writer.per_thread_copy_ahead = 0  # nothing of a GPU's is left to copy
        save(tensors, storage_writer=writer, process_group=group)


def read_state(state: State, folder: Path) -> None:
    """Fill a state with what a folder holds, together with all other processes."""
    for part, tensors in state.items():
        load(tensors, storage_reader=HuggingFaceStorageReader(str(folder / part)))


def read_weights(model: torch.nn.Module, folder: Path, *, alone: bool = False) -> None:
    """Fill the trained weights of a model, together with all other processes or `alone`."""
    load(_trained(model), storage_reader=HuggingFaceStorageReader(str(folder / WEIGHTS)), no_dist=alone)


def _trained(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return the weights that are trained, one that has two names once."""
    return {name: weight.detach() for name, weight in model.named_parameters() if weight.requires_grad}
