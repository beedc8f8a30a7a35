"""What a model elsewhere costs: tokens and money counted, and no request that could go beyond the budget."""

from __future__ import annotations

import asyncio

from agent0.chat_client import Body, Completion
from agent0.config.endpoint import TeacherSettings
from agent0.errors import Agent0Error

WAIT_SECONDS = 0.05
TURN_TOKENS = 16
"""More than a chat template adds to a message."""


class Spending:
    """The purse of a teacher (`agent0.chat_client.Purse`).

    A request is sent only if its worst case, with those of all that are under way, is within the budget: a prompt has
    no more tokens than bytes, a reply no more than its limit. So the budget is never exceeded, and may be left by less
    than one request.

    Args:
        settings: prices and budget.
        share: of the budget that is to be had here.
    """

    def __init__(self, settings: TeacherSettings, share: float = 1.0) -> None:
        self._settings = settings
        self._token_budget = settings.token_budget * share
        self._cost_budget = settings.cost_budget * share
        self._reserved = (0, 0)
        self.replies = 0
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.is_spent = False

    @property
    def cost(self) -> float:
        """In the currency of the prices."""
        return self._settings.cost(self.prompt_tokens, self.completion_tokens)

    def count(self, prompt_tokens: int | None, completion_tokens: int | None) -> None:
        """Take in a reply.

        Raises:
            Agent0Error: the endpoint does not say how many tokens it has, and there is a budget.
        """
        if prompt_tokens is None or completion_tokens is None:
            if self._settings.has_budget:
                raise Agent0Error(
                    "The teacher's endpoint sends no usage, so a budget cannot be kept; set "
                    "generation.teacher.token_budget and cost_budget to 0, or use an endpoint that counts."
                )
            prompt_tokens, completion_tokens = prompt_tokens or 0, completion_tokens or 0
        self.replies += 1
        self.prompt_tokens += prompt_tokens
        self.completion_tokens += completion_tokens

    async def admit(self, body: Body) -> bool:
        """See `Purse`."""
        prompt, reply = _worst(body)
        while not self._holds(prompt, reply):
            if self._reserved == (0, 0):
                self.is_spent = True
                return False
            await asyncio.sleep(WAIT_SECONDS)
        self._reserved = (self._reserved[0] + prompt, self._reserved[1] + reply)
        return True

    def settle(self, body: Body, completion: Completion | None) -> None:
        """See `Purse`."""
        prompt, reply = _worst(body)
        self._reserved = (self._reserved[0] - prompt, self._reserved[1] - reply)
        if completion is not None:
            self.count(completion.prompt_tokens, completion.completion_tokens)

    def _holds(self, prompt: int, reply: int) -> bool:
        prompts = self.prompt_tokens + self._reserved[0] + prompt
        replies = self.completion_tokens + self._reserved[1] + reply
        within_tokens = not self._token_budget or prompts + replies <= self._token_budget
        return within_tokens and (not self._cost_budget or self._settings.cost(prompts, replies) <= self._cost_budget)


def _worst(body: Body) -> tuple[int, int]:
    """Return the most tokens that a prompt and its reply can have."""
    turns = [message["content"] for message in body["messages"]]
    return sum(len(turn.encode()) + TURN_TOKENS for turn in turns), int(body["max_tokens"])
