"""From a GGUF file to a folder that transformers loads: float32 safetensors, configuration, and a mended tokenizer.

What transformers makes of a GGUF file's tokenizer may name the wrong token as the end of a turn, and none for padding.
The chat template tells the end; the file's own header the rest. Leaves out files in several parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import gguf
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from agent0.errors import Agent0Error
from agent0.rollout.gguf_header import unreadable
from agent0.rollout.tokens import template_end


def convert(file: Path, output: Path) -> None:
    """Write the model of a GGUF file to the folder `output`; nothing is fetched from anywhere.

    Raises:
        Agent0Error: the file holds no model that transformers can read, or nothing in it says where a turn ends.
    """
    try:
        with _read_once():
            tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
            model = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    except Exception as error:  # the readers of a file that is none fail in any way
        raise unreadable(file, error) from error
    # The weights are whole numbers no longer, which transformers does not take note of; it would refuse to save them.
    model.hf_quantizer = None
    del model.config.quantization_config
    mend(tokenizer, model)
    model.save_pretrained(output)
    tokenizer.save_pretrained(output)


@contextmanager
def _read_once() -> Iterator[None]:
    """Let transformers, which reads the file for each of tokenizer, configuration and weights, share one reader.

    Reading goes through a vocabulary of tens of thousands of words, one by one. The names of the tensors of an
    architecture are asked for with each module, and made anew each time.
    """
    reader, names = gguf.GGUFReader, gguf.get_tensor_name_map
    gguf.GGUFReader, gguf.get_tensor_name_map = cache(reader), cache(names)
    try:
        yield
    finally:
        gguf.GGUFReader, gguf.get_tensor_name_map = reader, names


def mend(tokenizer: Any, model: Any) -> None:
    """Give a tokenizer and its model the same tokens for beginning, end and padding.

    A turn ends where the chat template ends it, or, without a template, as the file says. Padding must be no end, since
    a trainer leaves it out: it is the file's own padding token, else its unknown one, whichever is no end.

    Raises:
        Agent0Error: nothing says where a turn ends.
    """
    config = model.config
    ends = list(dict.fromkeys(t for t in (template_end(tokenizer), config.eos_token_id) if t is not None))
    if not ends:
        raise Agent0Error(
            "The model has no chat template and names no token that ends its text, so no turn could end; take a file "
            "that has one of them."
        )
    candidates = (config.pad_token_id, config.unk_token_id)
    pad = next((token for token in candidates if token is not None and token not in ends), ends[0])
    names = {"eos_token": ends[0], "pad_token": pad, "bos_token": config.bos_token_id}
    for name, token in names.items():
        setattr(tokenizer, name, None if token is None else tokenizer.convert_ids_to_tokens(token))
    tokenizer.clean_up_tokenization_spaces = False  # it would take away spaces that a model wrote
    config.eos_token_id = ends[0]
    config.pad_token_id = pad
    model.generation_config.eos_token_id = ends[0] if len(ends) == 1 else ends
    model.generation_config.pad_token_id = pad
