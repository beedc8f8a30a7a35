"""What all settings share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, model_validator

from agent0.seeds import SEED_LIMIT

Probability = Annotated[float, Field(ge=0.0, le=1.0)]
LARGEST_NUMBER = 2**53
"""Beyond it whole numbers are not exact in JSON readers and protocol buffers, to which all numbers are floats."""
Positive = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=SEED_LIMIT)]
MODEL_NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}"
"""What a registered model may be called: its URI has no room for a slash, a colon or an '@' in it."""
RegisteredName = Annotated[str, Field(pattern=f"^{MODEL_NAME}$")]


class Section(BaseModel):
    """Base of all settings: frozen; an unknown key is an error, and so is a number that is infinite, none or huge.

    A number is no switch either: pydantic would read `steps=true` as 1.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="wrap")
    @classmethod
    def _no_switches(cls, given: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        section = validate(given)
        for name in cls.model_fields if isinstance(given, Mapping) else ():
            if isinstance(given.get(name), bool) and not isinstance(getattr(section, name), bool):
                raise ValueError(f"{name} is a number, and {str(given[name]).lower()} is none")
        return section

    @model_validator(mode="after")
    def _countable(self) -> Self:
        for name, value in self:
            for number in value.values() if isinstance(value, Mapping) else (value,):
                if isinstance(number, int) and abs(number) > LARGEST_NUMBER:
                    raise ValueError(f"{name} is beyond 2**53; give a smaller number")
        return self
