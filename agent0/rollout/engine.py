"""The trajectory engine: generate until a stop, run the program, append its output, go on.

It holds no model and draws no tokens; a backend does. It never turns text back into tokens that a model wrote, so mask
and log-probabilities are aligned by construction. All trajectories of a batch take a turn together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from agent0.answers import extract_boxed
from agent0.config import RolloutSettings
from agent0.errors import Agent0Error
from agent0.protocol import STOP, Message, last_program, observation_text
from agent0.sandbox import RunResult
from agent0.types import ToolCall, Trajectory

NO_CODE = "Error: no complete Python block."


@dataclass(frozen=True)
class Generation:
    """What a backend drew for one request.

    `token_ids` holds at least one token and includes the end-of-turn token or the stop string that ended it;
    `logprobs` is aligned with it, or None.
    """

    token_ids: list[int]
    finish: Literal["eos", "stop", "length"]
    logprobs: list[float] | None = None


class Backend(Protocol):
    """Draws continuations; temperature and the like belong to the backend."""

    def generate(self, prompts: Sequence[list[int]], max_tokens: Sequence[int], stop: str | None) -> list[Generation]:
        """Continue each prompt by 1 to `max_tokens[i]` tokens, up to its end, or up to and including `stop`."""


class ProgramRunner(Protocol):
    """The part of the sandbox that the engine needs."""

    def run_many(self, sources: Sequence[str]) -> list[RunResult]:
        """Run programs; results in the order of `sources`."""


@dataclass(frozen=True)
class TokenBudget:
    """All limits of one trajectory, in tokens and tool calls."""

    prompt: int
    response: int
    observation: int
    turns: int

    @classmethod
    def from_settings(cls, settings: RolloutSettings) -> TokenBudget:
        """Return the budget of a configuration."""
        return cls(
            prompt=settings.max_prompt_tokens,
            response=settings.max_response_tokens,
            observation=settings.max_observation_tokens,
            turns=settings.max_turns,
        )


@dataclass
class _State:
    prompt: list[int]
    completion: list[int] = field(default_factory=list)
    mask: list[int] = field(default_factory=list)
    logprobs: list[float] | None = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)
    finish: Literal["eos", "length", "turns"] | None = None

    def append(self, token_ids: list[int], drawn: bool, logprobs: list[float] | None) -> None:
        self.completion += token_ids
        self.mask += [int(drawn)] * len(token_ids)
        if drawn and logprobs is None:
            self.logprobs = None
        elif self.logprobs is not None:
            self.logprobs += logprobs if drawn and logprobs is not None else [0.0] * len(token_ids)


class RolloutEngine:
    """Turns prompts into trajectories with a tokenizer, a backend, a sandbox and a budget."""

    def __init__(self, tokenizer: Any, backend: Backend, sandbox: ProgramRunner, budget: TokenBudget) -> None:
        self._tokenizer = tokenizer
        self._backend = backend
        self._sandbox = sandbox
        self._budget = budget

    def run(
        self, prompts: Sequence[Sequence[int]], on_finished: Callable[[int], None] | None = None
    ) -> list[Trajectory]:
        """Roll out one trajectory per prompt, in order.

        Args:
            prompts: token ids of each prompt.
            on_finished: called after each turn with the number of trajectories that have ended so far.

        Raises:
            Agent0Error: a prompt is longer than the budget.
            SandboxError: the sandbox itself failed (a failing program is an observation, not an error).
        """
        self._check(prompts)
        states = [_State(list(prompt)) for prompt in prompts]
        active = states
        stop = STOP if self._budget.turns else None
        while active:
            generations = self._backend.generate(
                [state.prompt + state.completion for state in active],
                [self._budget.response - len(state.completion) for state in active],
                stop,
            )
            calling = [
                (state, text)
                for state, generation in zip(active, generations, strict=True)
                if (text := self._advance(state, generation)) is not None
            ]
            self._observe(calling)
            active = [state for state in active if state.finish is None]
            if on_finished:
                on_finished(len(states) - len(active))
        return [self._finish(state) for state in states]

    def _check(self, prompts: Sequence[Sequence[int]]) -> None:
        longest = max(map(len, prompts), default=0)
        if longest > self._budget.prompt:
            raise Agent0Error(
                f"A prompt has {longest} tokens but rollout.max_prompt_tokens is {self._budget.prompt}; raise it or "
                "shorten the prompt."
            )

    def _advance(self, state: _State, generation: Generation) -> str | None:
        """Append a drawn turn; return its text if it calls the tool."""
        state.append(generation.token_ids, True, generation.logprobs)
        if generation.finish == "eos":
            state.finish = "eos"
        elif generation.finish == "length" or len(state.completion) >= self._budget.response:
            state.finish = "length"
        elif len(state.calls) >= self._budget.turns:
            state.finish = "turns"
        else:
            return str(self._tokenizer.decode(generation.token_ids))
        return None

    def _observe(self, calling: list[tuple[_State, str]]) -> None:
        """Run the programs of one turn together and append what each printed."""
        programs = [last_program(text) for _, text in calling]
        results = iter(self._sandbox.run_many([program for program in programs if program is not None]))
        for (state, text), program in zip(calling, programs, strict=True):
            if program is None:
                call = ToolCall(code="", observation=NO_CODE, status="no_code")
            else:
                result = next(results)
                call = ToolCall(code=program, observation=_shown(result), status=result.status)
            state.calls.append(call)
            token_ids = self._observation_tokens(text, call.observation)
            room = self._budget.response - len(state.completion)
            state.append(token_ids[:room], False, None)
            if len(token_ids) >= room:
                state.finish = "length"

    def _observation_tokens(self, turn: str, output: str) -> list[int]:
        """Return the tokens of an observation; a long output keeps its end, and the closing fence always stays."""
        frame = self._encode(observation_text(turn, ""))
        token_ids = self._encode(observation_text(turn, output))
        excess = len(token_ids) - self._budget.observation
        if excess <= 0 or not output:
            return token_ids
        kept = self._encode(output)[-max(1, self._budget.observation - len(frame)) :]
        return self._encode(observation_text(turn, str(self._tokenizer.decode(kept))))

    def _encode(self, text: str) -> list[int]:
        token_ids: list[int] = self._tokenizer(text, add_special_tokens=False).input_ids
        return token_ids

    def _finish(self, state: _State) -> Trajectory:
        text = str(self._tokenizer.decode(state.completion, skip_special_tokens=True))
        assert state.finish is not None
        return Trajectory(
            prompt_ids=tuple(state.prompt),
            completion_ids=tuple(state.completion),
            mask=tuple(state.mask),
            logprobs=None if state.logprobs is None else tuple(state.logprobs),
            text=text,
            tool_calls=tuple(state.calls),
            finish=state.finish,
            answer=extract_boxed(text),
        )


def encode_prompt(tokenizer: Any, messages: list[Message]) -> list[int]:
    """Return the token ids of `messages` up to where the assistant begins.

    Raises:
        Agent0Error: the tokenizer has no chat template.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise Agent0Error(
            "The tokenizer has no chat template, so prompts cannot be rendered; choose a model whose tokenizer has "
            "one, or save one into its tokenizer_config.json."
        )
    token_ids: list[int] = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    return token_ids


def _shown(result: RunResult) -> str:
    """Return what a model sees of a run: its output, and the last line of the error if it failed."""
    if result.status == "ok":
        return result.stdout
    reason = {"error": _last_line(result.stderr)}.get(result.status, f"Error: {result.status.replace('_', ' ')}")
    return f"{result.stdout}{reason}"


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "Error: the program failed without a message."
