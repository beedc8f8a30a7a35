"""Settings of models behind an address that speaks OpenAI's chat completions."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from agent0.config.base import Positive, Probability, Section

PER_MILLION = 1_000_000
"""Tokens that a price is for."""


class EndpointSettings(Section):
    """A model behind an address; its key is in the environment and never among the settings."""

    url: str = Field("", description="Base address of the endpoint, such as http://models:8000/v1; empty: none.")
    model: str = Field("", description="Model, as the endpoint names it.")
    key_variable: str = Field("AGENT0_JUDGE_KEY", description="Environment variable with the endpoint's key, if any.")
    max_tokens: Positive = Field(1024, description="Of a reply.")
    concurrency: Positive = Field(16, description="Requests at a time.")
    deadline_seconds: float = Field(300.0, gt=0, description="For one reply, with all attempts.")

    @model_validator(mode="after")
    def _holds_no_secret(self) -> EndpointSettings:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", self.key_variable):  # it may be the key: not quoted
            raise ValueError(
                "key_variable is no name of an environment variable; the key itself never goes into the settings, "
                "which everybody can read"
            )
        if "@" in urlsplit(self.url).netloc:
            raise ValueError("url holds a user or a password; put the key into the environment (key_variable)")
        return self

    @property
    def is_named(self) -> bool:
        """Whether there is somebody to ask."""
        return bool(self.url and self.model)


class QuestionJudgeSettings(EndpointSettings):
    """Who says of each question whether it is well posed; what follows is up to filtering.well_posed."""

    source: Literal["off", "executor", "endpoint"] = Field(
        "off",
        description=(
            "'executor': the frozen executor itself, without its tool; 'endpoint': any model behind one that speaks "
            "OpenAI's chat completions, which is not asked again once it misses its deadline. Paper: off."
        ),
    )
    max_tokens: Positive = Field(256, description="Of a reply.")

    @model_validator(mode="after")
    def _endpoint_is_named(self) -> QuestionJudgeSettings:
        if self.source == "endpoint" and not self.is_named:
            raise ValueError("source 'endpoint' needs the address and the name of a model; give url and model")
        return self


class TeacherSettings(EndpointSettings):
    """A model that proposes in the curriculum agent's place, shown what the executor failed (Socratic-Zero).

    It is asked for `generation.proposals` proposals in each iteration; nothing of it is trained.
    """

    key_variable: str = Field("AGENT0_TEACHER_KEY", description="Environment variable with the endpoint's key, if any.")
    max_tokens: Positive = Field(2048, description="Of a reply.")
    temperature: float = Field(1.0, ge=0, description="Of its replies.")
    options: dict[str, bool | int | float | str] = Field(
        {}, description="Further fields of each request, such as {reasoning_effort = 'low'}."
    )
    failures: int = Field(
        3, ge=0, description="Tasks that the executor failed, with its answers, that each prompt shows; 0: none."
    )
    max_failed_consistency: Probability = Field(
        0.6, description="Kept tasks of earlier iterations with at most this self-consistency count as failed."
    )
    prompt_price: float = Field(0.0, ge=0, description="Of a million prompt tokens, in whatever currency.")
    completion_price: float = Field(0.0, ge=0, description="Of a million tokens of replies.")
    token_budget: int = Field(0, ge=0, description="Tokens, of prompts and replies, for one iteration; 0: no limit.")
    cost_budget: float = Field(0.0, ge=0, description="Cost of one iteration, in the prices' currency; 0: no limit.")
    when_spent: Literal["end", "fail"] = Field(
        "end", description="What the stage does when the budget is spent: it ends with what it has, or fails."
    )
    replies: str = Field(
        "",
        description=(
            "Folder that keeps every reply beyond the run: no run asks for one that is there. Empty: they are kept "
            "until their iteration has ended."
        ),
    )

    @model_validator(mode="after")
    def _can_be_asked(self) -> TeacherSettings:
        if bool(self.url) != bool(self.model):
            raise ValueError("a teacher needs both the address and the name of a model; give url and model")
        if self.cost_budget and not (self.prompt_price or self.completion_price):
            raise ValueError("cost_budget needs prices; give prompt_price and completion_price, or use token_budget")
        return self

    @property
    def has_budget(self) -> bool:
        """Whether there is a limit."""
        return bool(self.token_budget or self.cost_budget)

    def cost(self, prompt_tokens: float, completion_tokens: float) -> float:
        """Return what so many tokens cost."""
        return (prompt_tokens * self.prompt_price + completion_tokens * self.completion_price) / PER_MILLION
