"""What a decoder-only transformer consists of, in numbers: the sizes from which memory and time follow.

Knows the dense Qwen3 models by name and reads the `config.json` of a local folder of the same family of architectures.
Mixtures of experts and encoders are left out: their formulas differ.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent0.config import EMBEDDED_MODEL, ModelSettings, TinyPretraining
from agent0.errors import UsageError, reason_of
from agent0.storage.text_files import read_object
from agent0.tracking.model_package import find_package, is_in_package

QWEN3_VOCABULARY = 151_936
ADVICE = "give the folder of a model saved by transformers"
DENSE_TYPES = ("qwen3", "qwen2", "llama", "mistral")
"""Values of `model_type` whose parameters `Architecture` counts rightly."""


@dataclass(frozen=True)
class Architecture:
    """Sizes of a decoder-only transformer with grouped-query attention and a gated MLP."""

    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocabulary: int
    tied: bool
    normed_heads: bool = True
    attention_bias: bool = False

    @property
    def query_width(self) -> int:
        """Width of all query heads together."""
        return self.heads * self.head_dim

    @property
    def kv_width(self) -> int:
        """Width of all key heads together, which is that of the value heads."""
        return self.kv_heads * self.head_dim

    @property
    def layer_parameters(self) -> int:
        """Parameters of one layer: attention, gated MLP, norms."""
        attention = 2 * self.hidden * self.query_width + 2 * self.hidden * self.kv_width
        biases = self.query_width + 2 * self.kv_width if self.attention_bias else 0
        norms = 2 * self.hidden + (2 * self.head_dim if self.normed_heads else 0)
        return attention + biases + 3 * self.hidden * self.intermediate + norms

    @property
    def embedding_parameters(self) -> int:
        """Parameters of the embedding and, where it is not tied, of the output head."""
        return self.vocabulary * self.hidden * (1 if self.tied else 2)

    @property
    def parameters(self) -> int:
        """All parameters."""
        return self.layers * self.layer_parameters + self.embedding_parameters + self.hidden

    def adapter_parameters(self, rank: int) -> int:
        """Parameters of low-rank adapters on every linear map but the output head: rank x (inputs + outputs) each."""
        widths = (
            2 * (self.hidden + self.query_width)
            + 2 * (self.hidden + self.kv_width)
            + 3 * (self.hidden + self.intermediate)
        )
        return rank * self.layers * widths

    def kv_bytes_per_token(self, element_bytes: int) -> int:
        """Bytes of keys and values of one token over all layers."""
        return 2 * self.layers * self.kv_width * element_bytes


def _qwen3(size: str, layers: int, hidden: int, heads: int, intermediate: int, tied: bool) -> Architecture:
    return Architecture(f"Qwen3-{size}", layers, hidden, heads, 8, 128, intermediate, QWEN3_VOCABULARY, tied)


KNOWN: dict[str, Architecture] = {
    architecture.name: architecture
    for architecture in (
        _qwen3("0.6B", 28, 1024, 16, 3072, True),
        _qwen3("1.7B", 28, 2048, 16, 6144, True),
        _qwen3("4B", 36, 2560, 32, 9728, True),
        _qwen3("8B", 36, 4096, 32, 12_288, False),
        _qwen3("14B", 40, 5120, 40, 17_408, False),
    )
}
"""Dense Qwen3 models by name (Qwen3 technical report, arXiv 2505.09388, Table 1); '-Base' has the same sizes."""


def architecture_of(model: ModelSettings) -> Architecture:
    """Return the sizes of the configured base model.

    Raises:
        UsageError: the model is neither embedded, nor known by name, nor in an installed package, nor a folder with a
            readable `config.json`.
    """
    if model.source == EMBEDDED_MODEL:
        return _embedded(model.tiny)
    if is_in_package(model.source):
        package = find_package(model.source)
        return _dense(package.configuration(), package.name, str(package.file))
    if (Path(model.source) / "config.json").is_file():
        return _read(Path(model.source) / "config.json")
    name = model.source.rsplit("/", 1)[-1].removesuffix("-Base")
    if name in KNOWN:
        return KNOWN[name]
    close = difflib.get_close_matches(name, KNOWN, n=1, cutoff=0.6)
    hint = f" Did you mean Qwen/{close[0]}-Base?" if close else ""
    raise UsageError(
        f"The sizes of the model {model.source!r} are not known.{hint} Known are {', '.join(KNOWN)}; for any other, "
        "download it and give its folder: --set model.source=FOLDER."
    )


def _embedded(tiny: TinyPretraining) -> Architecture:
    """Return the sizes of the embedded model, as `agent0.tiny.pretrain` builds it."""
    head_dim = max(16, tiny.hidden_size // tiny.heads)
    intermediate = 2 * tiny.hidden_size
    return Architecture(
        "tiny", tiny.layers, tiny.hidden_size, tiny.heads, tiny.heads, head_dim, intermediate, tiny.vocabulary, True
    )


def _read(path: Path) -> Architecture:
    return _dense(read_object(path, mended_by=ADVICE), path.parent.name, str(path))


def _dense(values: dict[str, Any], name: str, where: str) -> Architecture:
    """Return the sizes that a model's configuration says; `where` it lies is for errors."""
    try:
        kind = values.get("model_type")
        if kind not in DENSE_TYPES:
            raise UsageError(
                f"{where} describes a model of type {kind!r}, which the plan has no formulas for; known types: "
                f"{', '.join(DENSE_TYPES)}."
            )
        heads = int(values["num_attention_heads"])
        return Architecture(
            name=name,
            layers=int(values["num_hidden_layers"]),
            hidden=int(values["hidden_size"]),
            heads=heads,
            kv_heads=int(values.get("num_key_value_heads") or heads),
            head_dim=int(values.get("head_dim") or values["hidden_size"] // heads),
            intermediate=int(values["intermediate_size"]),
            vocabulary=int(values["vocab_size"]),
            tied=bool(values.get("tie_word_embeddings", False)),
            normed_heads=kind == "qwen3",
            attention_bias=kind == "qwen2" or bool(values.get("attention_bias", False)),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unreadable(where, error) from error


def _unreadable(where: str, error: Exception) -> UsageError:
    return UsageError(
        f"{where} is no readable model configuration ({type(error).__name__}: {reason_of(error)}); {ADVICE}."
    )
