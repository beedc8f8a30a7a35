"""A canary for weights that must travel from the trainer to vLLM.

After optimizer steps the engine must give other log-probabilities for the same prompt and seed than before them. If not
one bit has changed, the engine still draws with the old weights, and the training would go on learning nothing real.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent0.errors import Agent0Error
from agent0.rollout.engine import Backend, Request
from agent0.rollout.watch import NOBODY

PROBE_TOKENS = 16


class WeightCanary:
    """Asks the engine the same question before each generation batch, and compares the answers."""

    def __init__(self) -> None:
        self._request: Request | None = None
        self._before: tuple[int, Sequence[int], Sequence[float]] | None = None

    async def check(self, backend: Backend, prompt: list[int], step: int, moved: bool) -> None:
        """Probe the engine; `moved` says whether the optimizer has changed the weights since the last probe.

        Raises:
            Agent0Error: the weights have moved and the engine has not.
        """
        self._request = self._request or Request(prompt, PROBE_TOKENS, None, seed=0)
        async with backend.session(1, NOBODY) as session:
            drawn = await session.generate(self._request)
            session.retire()
        if drawn.logprobs is None:
            raise Agent0Error("The engine gives no log-probabilities, so its weights cannot be checked.")
        answer = (step, drawn.token_ids, drawn.logprobs)
        if self._before and moved and self._before[0] < step and self._before[1:] == answer[1:]:
            raise Agent0Error(
                f"The weights have not reached vLLM: after the updates {self._before[0] + 1} to {step} it gives the "
                "same log-probabilities as before them, bit for bit. Check the engine's log and the versions of trl "
                "and vllm; nothing that was drawn since is trained on."
            )
        self._before = answer
