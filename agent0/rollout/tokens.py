"""Which tokens end an assistant's turn, for every backend the same."""

from __future__ import annotations

from typing import Any

from agent0.errors import UsageError

_PROBE = "\u25c6"  # a text that no template holds


def end_token_ids(tokenizer: Any, configured: int | list[int] | None) -> list[int]:
    """Return the ids that end a turn: the model's own, the tokenizer's, and what its chat template puts after a turn.

    A base model often ends in one token while its template closes a turn with another.

    Args:
        tokenizer: a tokenizer with a chat template.
        configured: `eos_token_id` of the model's generation configuration.

    Raises:
        UsageError: there is none, so no turn could end.
    """
    ids = {i for i in (configured if isinstance(configured, list) else [configured]) if i is not None}
    if tokenizer.eos_token_id is not None:
        ids.add(int(tokenizer.eos_token_id))
    closing = _template_end(tokenizer)
    if closing is not None:
        ids.add(closing)
    if not ids:
        raise UsageError(
            "Neither the model's generation_config.json nor its tokenizer names an end-of-text token, so no turn "
            "could end; set eos_token_id in generation_config.json."
        )
    return sorted(ids)


def _template_end(tokenizer: Any) -> int | None:
    """Return the special token that the chat template writes after an assistant's turn, if it is one."""
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _PROBE}]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    after = tokenizer(text[text.rindex(_PROBE) + len(_PROBE) :].lstrip(), add_special_tokens=False).input_ids
    return int(after[0]) if after and int(after[0]) in tokenizer.all_special_ids else None
