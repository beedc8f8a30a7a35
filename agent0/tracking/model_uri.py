"""What registered models are called: `models:/NAME/VERSION`, `models:/NAME@ALIAS`. This does not import mlflow."""

from __future__ import annotations

import re
from dataclasses import dataclass

from agent0.config.base import MODEL_NAME
from agent0.errors import UsageError

PREFIX = "models:/"
ALIAS = r"[A-Za-z][A-Za-z0-9_-]{0,99}"


@dataclass(frozen=True)
class ModelUri:
    """A version of a registered model, by its number or by an alias; one of the two is empty."""

    name: str
    version: str = ""
    alias: str = ""

    def __str__(self) -> str:
        return f"{PREFIX}{self.name}@{self.alias}" if self.alias else f"{PREFIX}{self.name}/{self.version}"


def is_model_uri(text: str) -> bool:
    """Say whether `text` is meant as the URI of a registered model."""
    return text.startswith("models:")


def parse_model_uri(text: str) -> ModelUri:
    """Read the URI of a registered model.

    Raises:
        UsageError: it is none, or names no version and no alias.
    """
    match = re.fullmatch(rf"models:/({MODEL_NAME})(?:@({ALIAS})|/([1-9][0-9]*))", text)
    if match is None:
        raise UsageError(
            f"{text!r} names no version of a registered model; write models:/NAME@ALIAS or models:/NAME/VERSION, such "
            "as models:/agent0-executor@champion (a name has letters, digits, '-' and '_')."
        )
    name, alias, version = match.groups()
    return ModelUri(name, version or "", alias or "")


def check_model_name(name: str) -> None:
    """Check what a registered model may be called, so that its URIs can be written.

    Raises:
        UsageError: a slash, a colon, or whatever else MLflow or a URI does not take.
    """
    if not re.fullmatch(MODEL_NAME, name):
        raise UsageError(
            f"A registered model cannot be called {name!r}; use letters, digits, '-' and '_', such as agent0-executor."
        )
