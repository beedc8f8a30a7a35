"""Prompts as tokens, which tokens end a turn, and whether a model, its tokenizer and the token budget fit together."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from agent0.config import RolloutSettings
from agent0.errors import UsageError, reason_of, shortened
from agent0.protocol import STOP
from agent0.storage.text_files import read_object

_POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len", "model_max_length")
"""Names that kinds of models have for the longest sequence: most, GPT-2 and its kin, MPT and DBRX, Kimi Linear."""
_KINDS: dict[str, type | tuple[type, ...]] = {
    "vocab_size": int,
    **dict.fromkeys(_POSITIONS, int),
    "eos_token_id": (int, list),
    "rope_scaling": dict,
    "rope_parameters": dict,
    "text_config": dict,
}
"""What is read of a model's configuration."""
_ASKED, _PROBE = "\u25c7", "\u25c6"  # texts that no template holds


def check_prompts(prompts: Iterable[Sequence[int]], limit: int) -> None:
    """Check encoded prompts against the budget; stages do before they load a model.

    Raises:
        UsageError: one is longer than `limit` tokens.
    """
    longest = max(map(len, prompts), default=0)
    if longest > limit:
        raise UsageError(
            f"A prompt has {longest} tokens but rollout.max_prompt_tokens is {limit}; raise it or shorten the prompt."
        )


def check_model_tokens(model: Path, tokenizer: Any, rollout: RolloutSettings) -> list[int]:
    """Check a model folder against its tokenizer and the budget before any weight is loaded; return the end tokens.

    Args:
        model: folder of a saved causal language model.
        tokenizer: its tokenizer.
        rollout: the token budget.

    Raises:
        UsageError: there is no model; its tokenizer is larger than its vocabulary or cannot write the stop string; no
            token ends a turn, or the model and the tokenizer differ on which does; its chat template cannot be
            rendered, or leaves a turn out; or a trajectory is longer than the
            positions that the model knows.
    """
    if not (model / "config.json").is_file():
        raise UsageError(f"There is no model at {model} (no config.json); give the folder of a saved model.")
    config = _language_config(model)
    vocabulary = config.get("vocab_size")
    if vocabulary is not None and len(tokenizer) > vocabulary:
        raise UsageError(
            f"The tokenizer of {model} has {len(tokenizer)} tokens but the model's vocabulary only {vocabulary}: they "
            "do not belong together, or the model's embeddings must be resized."
        )
    positions, budget = _positions(config), rollout.max_prompt_tokens + rollout.max_response_tokens
    if positions is not None and positions < budget:
        raise UsageError(
            f"The model at {model} knows {positions} positions, but rollout.max_prompt_tokens + "
            f"rollout.max_response_tokens is {budget}; lower one of them."
        )
    if rollout.has_tool and STOP not in tokenizer.decode(tokenizer(STOP, add_special_tokens=False).input_ids):
        raise UsageError(
            f"The tokenizer of {model} cannot write {STOP!r}, with which a turn calls the tool; choose a model with a "
            "byte-level tokenizer, or set rollout.max_turns to 0."
        )
    _check_configured_end(model, tokenizer)
    return end_token_ids(tokenizer, configured_end(model), rollout.prompts.template_options)


def read_tokens_alike(one: Any, other: Any) -> bool:
    """Return whether two tokenizers take each token for the same text; how they cut texts and prompts may differ."""
    return _reading(one) == _reading(other)


def _reading(tokenizer: Any) -> tuple[dict[str, int], dict[int, str], str | None]:
    """Return the vocabulary, the added tokens, and how pieces are joined, which slow tokenizers do not tell."""
    added = {token: str(text) for token, text in tokenizer.added_tokens_decoder.items()}
    fast = getattr(tokenizer, "backend_tokenizer", None)
    return tokenizer.get_vocab(), added, json.dumps(json.loads(fast.to_str())["decoder"]) if fast else None


def model_positions(model: Path) -> int | None:
    """Return the longest sequence that a model folder says it knows; None where it does not say."""
    return _positions(_language_config(model))


def _check_configured_end(model: Path, tokenizer: Any) -> None:
    """Raise where the model's own end token is no control token of this tokenizer: turns would end at random words."""
    control = _control_tokens(tokenizer)
    for token in _as_list(configured_end(model)):
        if token not in control:
            text = repr(tokenizer.decode([token])) if token < len(tokenizer) else "nothing"
            raise UsageError(
                f"The model at {model} ends its turns with token {token} (eos_token_id of generation_config.json or "
                f"config.json), but its tokenizer reads {text} there, and ends with {tokenizer.eos_token_id} "
                f"({tokenizer.eos_token!r}); correct eos_token_id, or use the tokenizer that belongs to the model."
            )


def configured_end(model: Path) -> int | list[int] | None:
    """Return `eos_token_id` of a model folder as `transformers` reads it: generation_config.json first."""
    own: int | list[int] | None = _read(model / "generation_config.json").get("eos_token_id")
    return own if own is not None else _language_config(model).get("eos_token_id")


def _language_config(model: Path) -> dict[str, Any]:
    """Return config.json, or the part of it that describes the language model of a multimodal one."""
    config = _read(model / "config.json")
    inner: dict[str, Any] = config.get("text_config") or config
    return inner


def _read(path: Path) -> dict[str, Any]:
    advice = "save the model again, or take another copy"
    content = read_object(path, mended_by=advice) if path.exists() else {}
    for name, kinds in _KINDS.items():
        value = content.get(name)
        tokens = value if isinstance(value, list) else []
        if value is not None and not (isinstance(value, kinds) and all(isinstance(token, int) for token in tokens)):
            raise UsageError(f"In {path} {name} is {shortened(repr(value))}; {advice}.")
    return content


def _positions(config: dict[str, Any]) -> int | None:
    """Return the longest sequence, with the stretching of rotary positions that the model is configured for."""
    known: int | None = next((config[name] for name in _POSITIONS if config.get(name) is not None), None)
    scaling = config.get("rope_scaling") or config.get("rope_parameters") or {}
    original, factor = scaling.get("original_max_position_embeddings"), scaling.get("factor")
    return known if known is None or not original or not factor else max(known, int(original * factor))


def end_token_ids(
    tokenizer: Any, configured: int | list[int] | None, options: Mapping[str, Any] = MappingProxyType({})
) -> list[int]:
    """Return the ids that end a turn: the model's own, the tokenizer's, and what its chat template puts after a turn.

    A base model often ends in one token while its template closes a turn with another.

    Args:
        tokenizer: a tokenizer.
        configured: `eos_token_id` of the model's generation configuration.
        options: of the chat template (`rollout.prompts.template_options`).

    Raises:
        UsageError: there is none, so no turn could end; or the template cannot be rendered.
    """
    ids = set(_as_list(configured))
    if tokenizer.eos_token_id is not None:
        ids.add(int(tokenizer.eos_token_id))
    closing = template_end(tokenizer, options)
    if closing is not None:
        ids.add(closing)
    if not ids:
        raise UsageError(
            "Neither the model's generation_config.json nor its tokenizer names an end-of-text token, so no turn "
            "could end; set eos_token_id in generation_config.json."
        )
    return sorted(ids)


def turn_end(tokenizer: Any, options: Mapping[str, Any] = MappingProxyType({})) -> int:
    """Return the token that a model shall end its turns with: the chat template's, else the tokenizer's end of text.

    Raises:
        UsageError: there is neither, or the template cannot be rendered; see `template_end`.
    """
    closing = template_end(tokenizer, options)
    if closing is not None:
        return closing
    if tokenizer.eos_token_id is None:
        raise UsageError(
            "The tokenizer names no end-of-text token, so a model would not learn to end its turns; set eos_token in "
            "the model's tokenizer_config.json."
        )
    return int(tokenizer.eos_token_id)


def spells_control_token(tokenizer: Any, text: str) -> bool:
    """Whether `text` holds what a tokenizer reads as one of its control tokens, such as the end of a turn."""
    added = (str(token) for token in tokenizer.added_tokens_decoder.values() if token.special)
    return any(token in text for token in {*tokenizer.all_special_tokens, *added})


def _as_list(configured: int | list[int] | None) -> list[int]:
    return configured if isinstance(configured, list) else [] if configured is None else [configured]


def template_end(tokenizer: Any, options: Mapping[str, Any] = MappingProxyType({})) -> int | None:
    """Return the special token that the chat template, with its options, writes after an assistant's turn.

    None where there is no template, or it writes no such token.

    Raises:
        UsageError: the template cannot render a question and its answer, or leaves one out.
    """
    if not getattr(tokenizer, "chat_template", None):
        return None
    text = ""
    messages: list[dict[str, str]] = []
    for role, content in (("user", _ASKED), ("assistant", _PROBE)):
        messages.append({"role": role, "content": content})
        try:
            text = tokenizer.apply_chat_template(messages, tokenize=False, **options)
        except Exception as error:  # a template is a program of the model's author
            raise _unusable(reason_of(error)) from error
        if content not in text:
            raise _unusable(f"it leaves out the {role}'s turn")
    after = tokenizer(text[text.rindex(_PROBE) + len(_PROBE) :].lstrip(), add_special_tokens=False).input_ids
    return int(after[0]) if after and int(after[0]) in _control_tokens(tokenizer) else None


def _unusable(reason: str) -> UsageError:
    return UsageError(
        f"The tokenizer's chat template cannot render a question and its answer: {reason}. Save another "
        "template as chat_template.jinja with the model."
    )


def _control_tokens(tokenizer: Any) -> set[int]:
    return {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
