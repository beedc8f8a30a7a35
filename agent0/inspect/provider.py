"""The model provider of inspect_ai over the rollout backends: `--model agent0/MODEL`, with every name of a model.

Tokens in, tokens out: what a model drew is never turned into tokens again. `generate` serves tasks of others, one turn
and no tools; the tasks of Agent0 take whole trajectories. Leaves out streaming, images and tool calls.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from inspect_ai.model import ChatMessage, GenerateConfig, ModelAPI, ModelOutput, ModelUsage, modelapi

from agent0.config import EMBEDDED_MODEL, SamplingSettings, load_config
from agent0.domains import get_prompts
from agent0.errors import UsageError
from agent0.evaluation.fitting import settings_for
from agent0.evaluation.inspect_sample import STOP_REASONS
from agent0.evaluation.sample_runner import widest
from agent0.inspect.trajectory_scheduler import Drawer
from agent0.rollout.engine import RolloutEngine, TokenBudget
from agent0.rollout.tokens import check_prompts
from agent0.sandbox import open_sandbox
from agent0.tracking.model_source import found_model
from agent0.types import Trajectory

_REFUSED = {
    "best_of": 1,
    "frequency_penalty": 0.0,
    "logit_bias": {},
    "logprobs": False,
    "num_choices": 1,
    "presence_penalty": 0.0,
    "prompt_logprobs": 0,
    "response_schema": None,
    "top_logprobs": 0,
}
"""Options of inspect_ai that no backend here serves, with the value that asks for nothing."""


class Agent0Model(ModelAPI):  # type: ignore[misc]
    """A model by any name that `agent0 evaluate --model` takes.

    Args:
        model_name: the name.
        base_url: not used; inspect_ai passes it.
        api_key: not used; inspect_ai passes it.
        config: not used; each call has its own.
        recipe: recipe of backend and limits (`-M recipe=qwen3-8b`); what fits the model if not given.
        overrides: settings in place of its own (`-M overrides=rollout.backend=vllm`).

    Raises:
        Agent0Error: there is no such model, or a setting is wrong.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008  # as inspect_ai's own providers
        recipe: str = "",
        overrides: str | Sequence[str] = (),
    ) -> None:
        from agent0.rollout.model_folders import load_tokenizer

        super().__init__(model_name, config=config)
        given = [overrides] if isinstance(overrides, str) else overrides
        self._kept = ExitStack()
        wanted = load_config(recipe or EMBEDDED_MODEL, given).model.model_copy(update={"source": model_name})
        self.folder = self._kept.enter_context(found_model(wanted)).folder
        self.config = settings_for(self.folder, recipe, given).config
        self.tokenizer = load_tokenizer(self.folder)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._alone = asyncio.Lock()
        self._drawers: dict[tuple[SamplingSettings, TokenBudget], Drawer] = {}
        self._seeds = count()

    def close(self) -> None:
        """Let go of the model's files."""
        self._kept.close()

    def drawer(self, sampling: SamplingSettings, budget: TokenBudget) -> Drawer:
        """Return what draws trajectories so in the running event loop; of these none has the model open with another.

        A lock belongs to its loop, and inspect_ai's retries run in a new one.
        """
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._alone, self._drawers = loop, asyncio.Lock(), {}
        if (sampling, budget) not in self._drawers:
            rollout = self.config.rollout
            together = rollout.batch_size if rollout.backend == "transformers" else 1
            self._drawers[sampling, budget] = Drawer(lambda: self._engine(sampling, budget), self._alone, together)
        return self._drawers[sampling, budget]

    async def generate(
        self, input: list[ChatMessage], tools: Sequence[Any], tool_choice: Any, config: GenerateConfig
    ) -> ModelOutput:
        """Draw one turn; without a seed the calls of a run count through.

        Raises:
            UsageError: tools, more than one stop sequence, an option that no backend here serves, or a prompt longer
                than `rollout.max_prompt_tokens`.
        """
        stops = config.stop_seqs or [None]
        if tools or len(stops) > 1:
            raise UsageError(
                "agent0 models call no tools of inspect_ai and take one stop sequence; for the Python tool run a task "
                "of agent0, such as agent0/gsm8k."
            )
        unknown = [name for name, neutral in _REFUSED.items() if getattr(config, name) not in (None, neutral)]
        if unknown:
            raise UsageError(f"agent0 models do not know {', '.join(unknown)}; leave that out of the task's options.")
        rollout, own = self.config.rollout, self.config.evaluation.sampling
        sampling = SamplingSettings(
            temperature=own.temperature if config.temperature is None else config.temperature,
            top_p=own.top_p if config.top_p is None else config.top_p,
            top_k=own.top_k if config.top_k is None else config.top_k,
        )
        response = config.max_tokens or rollout.max_response_tokens
        budget = TokenBudget(rollout.max_prompt_tokens, response, observation=0, turns=0, stop=stops[0])
        messages = [{"role": message.role, "content": message.text} for message in input]
        prompt = get_prompts(rollout).encode(self.tokenizer, messages)
        check_prompts([prompt], rollout.max_prompt_tokens)
        seed = next(self._seeds) if config.seed is None else config.seed
        return self._output(await self.drawer(sampling, budget).trajectory((tuple(prompt), seed)))

    def _output(self, trajectory: Trajectory) -> ModelOutput:
        output = ModelOutput.from_content(self.model_name, trajectory.text, STOP_REASONS[trajectory.finish])
        drawn, given = len(trajectory.completion_ids), len(trajectory.prompt_ids)
        output.usage = ModelUsage(input_tokens=given, output_tokens=drawn, total_tokens=given + drawn)
        return output

    @contextmanager
    def _engine(self, sampling: SamplingSettings, budget: TokenBudget) -> Iterator[RolloutEngine]:
        from agent0.rollout.backends import open_backend

        rollout = widest(self.config.rollout, [budget])
        log = Path(os.environ.get("INSPECT_LOG_DIR", "logs"))
        with (
            open_backend(self.folder, self.tokenizer, rollout, sampling, log=log, seed=self.config.seed) as backend,
            open_sandbox(self.config.sandbox, needed=bool(budget.turns)) as tool,
        ):
            yield RolloutEngine(self.tokenizer, backend, tool, budget)


modelapi(name="agent0")(Agent0Model)
