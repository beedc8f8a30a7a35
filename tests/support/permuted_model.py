"""The same model with another tokenizer: every text token has another id, in the vocabulary and in the weights.

Asked greedily with its own tokenizer it answers as the original does; asked with the original's, it reads nonsense.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

TOKENIZER_FILE = "tokenizer.json"


def permuted_tokenizer(source: Path, target: Path) -> list[int]:
    """Copy a model folder with ids that are shifted by one, special tokens aside; return the old id of each new one."""
    shutil.copytree(source, target)
    content = json.loads((source / TOKENIZER_FILE).read_text())
    vocabulary = content["model"]["vocab"]
    special = {added["id"] for added in content["added_tokens"]}
    old = sorted(set(vocabulary.values()) - special)
    new_of = dict(zip(old, [*old[1:], old[0]], strict=True))
    content["model"]["vocab"] = {text: new_of.get(number, number) for text, number in vocabulary.items()}
    (target / TOKENIZER_FILE).write_text(json.dumps(content))
    old_of = {new: number for number, new in new_of.items()}
    return [old_of.get(number, number) for number in range(len(vocabulary))]


def permuted_model(source: Path, target: Path) -> Path:
    """Copy a model folder with other ids and with the rows of its embeddings, and of its head, in their order."""
    old_of = permuted_tokenizer(source, target)
    (file,) = target.glob("*.safetensors")
    weights = load_file(file)
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        if name in weights:
            assert len(weights[name]) == len(old_of)
            weights[name] = weights[name][torch.tensor(old_of)].contiguous()
    save_file(weights, file, metadata={"format": "pt"})
    return target
