"""The bearer token that the sandbox's service asks for and its clients send; it is a secret and never a setting."""

from __future__ import annotations

import os
from pathlib import Path

from agent0.storage.text_files import token_in, usable_token

TOKEN_VARIABLE = "AGENT0_SANDBOX_TOKEN"


def read_token(token_file: Path | None = None) -> str | None:
    """Return the token in a file, or in AGENT0_SANDBOX_TOKEN; None where neither is given.

    Raises:
        UsageError: the file is missing, or there is no token that a header can hold.
    """
    if token_file is not None:
        return token_in(token_file)
    if TOKEN_VARIABLE in os.environ:
        return usable_token(os.environ[TOKEN_VARIABLE], TOKEN_VARIABLE)
    return None
