"""The head of a GGUF file: the sizes of its model, without its weights; neither torch nor transformers is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agent0.errors import Agent0Error, reason_of

FIELDS = {
    "num_hidden_layers": "block_count",
    "hidden_size": "embedding_length",
    "intermediate_size": "feed_forward_length",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "head_dim": "attention.key_length",
    "max_position_embeddings": "context_length",
}
"""Keys of a `config.json`, and what they are called in GGUF, behind the architecture's name (the format's docs)."""
_EMBEDDING, _HEAD = "token_embd.weight", "output.weight"


def read_configuration(file: Path) -> dict[str, Any]:
    """Return the sizes of the model in a GGUF file as the keys of a `config.json`; those it does not say are left out.

    Raises:
        Agent0Error: it is no GGUF file, or says nothing of its architecture, or its layers differ.
    """
    import gguf

    try:
        reader = gguf.GGUFReader(file)
        kind = reader.fields["general.architecture"].contents()
        tensors = {tensor.name: tensor for tensor in reader.tensors}
        vocabulary = int(tensors[_EMBEDDING].shape[-1])
        fields = {key: reader.fields.get(f"{kind}.{name}") for key, name in FIELDS.items()}
        sizes = {key: int(field.contents()) for key, field in fields.items() if field is not None}
    except (ValueError, KeyError, IndexError, OSError, TypeError) as error:  # some models have a list for each layer
        raise unreadable(file, error) from error
    return {
        "model_type": kind,
        "vocab_size": vocabulary,
        "tie_word_embeddings": _HEAD not in tensors,
        **sizes,
    }


def unreadable(file: Path, error: Exception) -> Agent0Error:
    """Return the error of a file that holds no model that can be read."""
    return Agent0Error(
        f"{file} cannot be read as a model ({type(error).__name__}: {reason_of(error)}); install its package again, or "
        "give the folder of a model saved by transformers."
    )
