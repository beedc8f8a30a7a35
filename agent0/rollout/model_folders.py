"""Loading and saving causal language models as folders; torch and transformers are imported when one is loaded."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from safetensors import safe_open

from agent0.errors import Agent0Error, reason_of

_VOCABULARIES = ("tokenizer.json", "vocab.*", "*.model", "*.tiktoken", "tekken.json")
"""Files of which a tokenizer has at least one; without any, transformers makes up an empty one of the model's kind."""


def load_model(path: Path, dtype: Literal["float32", "bfloat16"], device: str | None = None) -> tuple[Any, Any]:
    """Load a causal language model and its tokenizer from a folder.

    Raises:
        Agent0Error: there is no model at `path`, its weights are no safetensors, or it is damaged or not whole.
    """
    import torch

    from agent0.lean_transformers import transformers

    require_safetensors(path)
    tokenizer = load_tokenizer(path)
    with _damaged(path):
        model, loaded = transformers.AutoModelForCausalLM.from_pretrained(
            path, dtype=getattr(torch, dtype), use_safetensors=True, output_loading_info=True
        )
        absent = sorted(loaded["missing_keys"])
        if absent:
            raise ValueError(f"{len(absent)} weights are missing, {absent[0]} for one")
        broken = next((name for name, weight in model.named_parameters() if not bool(weight.isfinite().all())), None)
        if broken is not None:
            raise ValueError(f"the weights {broken} hold what is no finite number")
    _make_savable(model.generation_config)
    return (model.to(device) if device else model), tokenizer


def require_safetensors(path: Path) -> None:
    """Check that a folder holds weights that no code runs to read; other formats are pickles.

    Raises:
        Agent0Error: there is no model at `path`, or its weights are no safetensors.
    """
    _require_model(path)
    if next(path.glob("*.safetensors"), None) is None:
        raise Agent0Error(
            f"{path} has no weights as safetensors, and nothing else is loaded, since it may run code; save the model "
            "again with save_pretrained, or take a copy that has *.safetensors."
        )


def save_model(model: Any, tokenizer: Any, path: Path) -> None:
    """Save weights (safetensors), configuration and tokenizer to a folder."""
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)


def load_tokenizer(path: Path) -> Any:
    """Load the tokenizer of a model folder, padding on the left.

    Raises:
        Agent0Error: there is no model at `path`, or no tokenizer beside it, or it cannot be read.
    """
    from agent0.lean_transformers import transformers

    _require_model(path)
    if not any(next(path.glob(name), None) for name in _VOCABULARIES):
        raise Agent0Error(
            f"The model in {path} has no tokenizer (no tokenizer.json, nor any other vocabulary); copy the files of "
            "the model's tokenizer into that folder."
        )
    with _damaged(path):
        return transformers.AutoTokenizer.from_pretrained(path, padding_side="left")


def parameter_count(path: Path) -> int:
    """Return the number of weights in a folder's safetensors files, without loading them.

    Raises:
        Agent0Error: a file is damaged or cut short.
    """
    return sum(map(math.prod, weight_shapes(path).values()))


def weight_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of each weight in a folder's safetensors files, without loading them.

    Raises:
        Agent0Error: a file is damaged or cut short.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for file in sorted(path.glob("*.safetensors")):
        with _damaged(path), safe_open(file, framework="pt") as weights:
            shapes |= {name: tuple(weights.get_slice(name).get_shape()) for name in weights.keys()}  # noqa: SIM118
    return shapes


@contextmanager
def _damaged(path: Path) -> Iterator[None]:
    """Explain why a model cannot be loaded: transformers meets a damaged file with errors of every kind."""
    try:
        yield
    except (Agent0Error, MemoryError):
        raise
    except Exception as error:
        import torch

        if isinstance(error, torch.OutOfMemoryError):
            raise
        reason = reason_of(error)
        raise Agent0Error(
            f"The model in {path} cannot be loaded ({type(error).__name__}: {reason:.300}); it is damaged, not whole, "
            "or of a kind that this version of transformers does not know: copy it there again, or take another."
        ) from error


def _make_savable(defaults: Any) -> None:
    """Let a folder's sampling defaults be saved again: transformers refuses a temperature that nothing asks for."""
    try:
        defaults.validate(strict=True)
    except ValueError:
        defaults.do_sample = True


def _require_model(path: Path) -> None:
    if not (path / "config.json").is_file():
        raise Agent0Error(f"There is no model at {path} (no config.json); give the folder of a saved model.")
