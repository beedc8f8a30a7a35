"""A canary for weights that must travel from the trainer to vLLM.

After optimizer steps the engine must give other log-probabilities for the same prompt and seed than before them. If not
one bit has changed, the engine still draws with the old weights, and the training would go on learning nothing real.
The same holds between the policy and a frozen model that takes turns with it at one engine.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent0.errors import Agent0Error
from agent0.rollout.drawing_watch import NOBODY
from agent0.rollout.engine import Backend, Request

PROBE_TOKENS = 16
ADVICE = "Check the engine's log and the versions of trl and vllm; nothing that was drawn since is trained on."
Answer = tuple[Sequence[int], Sequence[float]]


class WeightCanary:
    """Asks the engine the same question before each generation batch, and compares the answers.

    Where a frozen model takes turns at the engine it is asked there too, and must not answer as the policy does.
    """

    def __init__(self) -> None:
        self._request: Request | None = None
        self._moved = False
        self._policy: tuple[int, Answer] | None = None
        self._frozen: Answer | None = None

    async def check(self, backend: Backend, prompt: list[int], step: int, moved: bool) -> None:
        """Probe the policy; `moved` says whether the optimizer has changed the weights since the last probe.

        Raises:
            Agent0Error: the weights have moved and the engine has not, or it still holds the frozen model's.
        """
        self._request = self._request or Request(prompt, PROBE_TOKENS, None, seed=0, repeatable=True)
        self._moved = self._moved or moved
        answer = await _ask(backend, self._request)
        if self._policy and moved and self._policy[0] < step and self._policy[1] == answer:
            raise Agent0Error(
                f"The weights have not reached vLLM: after the updates {self._policy[0] + 1} to {step} it gives the "
                f"same log-probabilities as before them, bit for bit. {ADVICE}"
            )
        if self._moved and self._frozen == answer:
            raise Agent0Error(
                f"The weights have not reached vLLM: at update {step} it gives the log-probabilities of the frozen "
                f"executor, which took the turn before, bit for bit. {ADVICE}"
            )
        self._policy = (step, answer)

    async def check_frozen(self, backend: Backend) -> None:
        """Probe the frozen model in its turn after the policy's.

        Raises:
            Agent0Error: the policy has moved, and the engine still holds its weights.
        """
        if self._request is None:
            raise ValueError("the policy's turn comes first")
        answer = await _ask(backend, self._request)
        if self._moved and self._policy and self._policy[1] == answer:
            raise Agent0Error(
                "The frozen executor's weights have not reached vLLM: it gives the log-probabilities of the model in "
                f"training, bit for bit. {ADVICE}"
            )
        self._frozen = answer


async def _ask(backend: Backend, request: Request) -> Answer:
    async with backend.session(1, NOBODY) as session:
        drawn = await session.generate(request)
        session.retire()
    if drawn.logprobs is None:
        raise Agent0Error("The engine gives no log-probabilities, so its weights cannot be checked.")
    return drawn.token_ids, drawn.logprobs
