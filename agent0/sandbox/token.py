"""The bearer token that the sandbox's service asks for and its clients send; it is a secret and never a setting."""

from __future__ import annotations

import os
from pathlib import Path

from agent0.errors import UsageError

TOKEN_VARIABLE = "AGENT0_SANDBOX_TOKEN"


def read_token(token_file: Path | None = None) -> str | None:
    """Return the token in a file, or in AGENT0_SANDBOX_TOKEN; None where neither is given.

    Raises:
        UsageError: the file is missing, or the token is empty or no text that a header can hold.
    """
    if token_file is not None:
        if not token_file.is_file():
            raise UsageError(f"There is no token file {token_file}; write the bearer token into it.")
        token = token_file.read_text(encoding="utf-8").strip()
    elif TOKEN_VARIABLE in os.environ:
        token = os.environ[TOKEN_VARIABLE].strip()
    else:
        return None
    if not token:
        raise UsageError("The bearer token is empty; write a long random text, e.g. from `openssl rand -hex 32`.")
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise UsageError(
            "The bearer token has spaces or characters that are not ASCII, which no header holds; write a long random "
            "text, e.g. from `openssl rand -hex 32`."
        )
    return token
