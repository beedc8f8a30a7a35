"""The trajectory engine: generate until a program closes, have its tool run it, append its output, go on.

Each trajectory is a coroutine, so programs run while other trajectories generate. The engine holds no model and draws
no tokens; a backend does. It never turns text back into tokens that a model wrote, so mask and log-probabilities are
aligned by construction.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from agent0.config import RolloutSettings
from agent0.protocol import STOP
from agent0.rollout.batches import Batch, Deliver, Ended, one_by_one, unheard
from agent0.rollout.drawing_watch import NOBODY, Watch
from agent0.rollout.tokens import check_prompts
from agent0.rollout.trajectory import Observations, TrajectoryBuilder, opens_thought
from agent0.rollout.turn import End, EndsAt, TurnRules
from agent0.seeds import SEED_LIMIT
from agent0.tools import PYTHON, TOOLS, ProgramRunner, Tool, get_tools
from agent0.types import ToolCall, Trajectory

_DRAW_STRIDE = 0x9E3779B1  # between the seeds of a trajectory's draws; odd, so that they do not meet


@dataclass(frozen=True)
class Request:
    """One turn to draw: continue `prompt` by 1 to `max_tokens` tokens, up to its end, or up to and including `stop`.

    `ends` says of the tokens drawn so far whether the turn is over, more closely than a text can; a backend that looks
    at each token asks it in place of `stop`. `repeatable` asks a backend that draws without seeds for a draw by `seed`.
    """

    prompt: list[int]
    max_tokens: int
    stop: str | None
    seed: int
    ends: Callable[[list[int]], bool] | None = None
    repeatable: bool = False


@dataclass(frozen=True)
class Generation:
    """What a backend drew for one request.

    `token_ids` holds at least one token and includes the end-of-turn token, the stop string or what else ended it;
    `logprobs` is aligned with it, or None.
    """

    token_ids: list[int]
    finish: Literal["eos", "stop", "length"]
    logprobs: list[float] | None = None


class Session(Protocol):
    """A backend at work inside one event loop."""

    async def generate(self, request: Request) -> Generation:
        """Draw one turn."""

    def retire(self) -> None:
        """Be told that one of the session's trajectories has ended and asks for no more."""


class Backend(Protocol):
    """Draws continuations; temperature and the like belong to the backend."""

    concurrency: int | None
    """Trajectories it serves at once, in any mixture of batches; None where a batch must be whole before it begins."""

    def session(self, trajectories: int, watch: Watch) -> AbstractAsyncContextManager[Session]:
        """Open the backend for `trajectories` trajectories that are about to begin together.

        It tells `watch` of the tokens that it draws, as soon as it knows of them.
        """


@dataclass(frozen=True)
class TokenBudget:
    """All limits of one trajectory, in tokens and tool calls, and what ends one within them.

    `stop` is a text that ends one without tools. With `ends_at` it ends at the first answer or question that closes
    outside programs, outputs and thoughts; None cuts nothing, for protocols with rules of their own. `turns` are calls
    of any of the `tools`.
    """

    prompt: int
    response: int
    observation: int
    turns: int
    stop: str | None = None
    ends_at: EndsAt | None = None
    tools: tuple[Tool, ...] = (PYTHON,)

    @classmethod
    def from_settings(cls, settings: RolloutSettings, ends_at: EndsAt = "answer") -> TokenBudget:
        """Return the budget of a configuration; the curriculum agent's trajectories end at the question."""
        return cls(
            prompt=settings.max_prompt_tokens,
            response=settings.max_response_tokens,
            observation=settings.max_observation_tokens,
            turns=settings.max_turns,
            ends_at=ends_at,
            tools=get_tools(settings.tools),
        )


@dataclass
class Throughput:
    """Tokens that a model drew, and the wall-clock seconds of the batches that it drew them in."""

    tokens: int = 0
    seconds: float = 0.0

    def metrics(self) -> dict[str, float]:
        """Return both as metrics, from which `agent0 plan` learns rates."""
        return {"system/generated_tokens": float(self.tokens), "system/generation_seconds": self.seconds}


class RolloutEngine:
    """Turns prompts into trajectories with a tokenizer, a backend, a sandbox and a budget.

    `tokenizer` is that of the model that the backend draws with; whoever asks the model encodes its prompts with it.
    `sandbox` is there for whoever judges what was drawn.
    """

    def __init__(self, tokenizer: Any, backend: Backend, sandbox: ProgramRunner, budget: TokenBudget) -> None:
        self.tokenizer = tokenizer
        self._backend = backend
        self.sandbox = sandbox
        self._budget = budget
        self._tools = {tool.label: tool for tool in budget.tools} if budget.turns else {}
        self._rules = TurnRules(tokenizer, frozenset(self._tools), budget.ends_at)
        self._observations = Observations(tokenizer, budget.observation)
        self.throughput = Throughput()

    @property
    def prompt_tokens(self) -> int:
        """Tokens that a prompt may have."""
        return self._budget.prompt

    def without_tool(self, response: int) -> RolloutEngine:
        """Return an engine over the same backend for plain replies of `response` tokens, in the room of this one's."""
        room = self._budget.prompt + self._budget.response - response
        return RolloutEngine(self.tokenizer, self._backend, self.sandbox, TokenBudget(room, response, 1, 0))

    def run(
        self, prompts: Sequence[Sequence[int]], seed: int, watch: Watch = NOBODY, ended: Ended = unheard
    ) -> list[Trajectory]:
        """Roll out one trajectory per prompt, in order; see `run_batches`."""
        drawn: list[Trajectory] = []
        self.run_batches([Batch(0, prompts, seed)], lambda _, trajectories: drawn.extend(trajectories), watch, ended)
        return drawn

    def run_batches(
        self, batches: Iterable[Batch], deliver: Deliver, watch: Watch = NOBODY, ended: Ended = unheard
    ) -> None:
        """Roll out batch after batch, and hand each over as soon as it is whole.

        Where the backend serves any mixture, the next batch begins while the last trajectories of the one before still
        run, so batches may be delivered out of order; memory holds those that are not whole. A batch that is whole is
        delivered whatever fails beside it.

        Args:
            batches: consumed as capacity frees up.
            deliver: called with a batch and its trajectories in the order of its prompts.
            watch: told of tokens as they are drawn, and of each trajectory that has ended.
            ended: told of each group that has ended, before its batch is whole.

        Raises:
            UsageError: a prompt is longer than the budget.
            SandboxError: the sandbox itself failed (a failing program is an observation, not an error).
            Agent0Error: a tool failed.
        """
        asyncio.run(self.arun_batches(batches, deliver, watch, ended))

    async def arun_batches(
        self,
        batches: Iterable[Batch] | AsyncIterable[Batch],
        deliver: Deliver,
        watch: Watch = NOBODY,
        ended: Ended = unheard,
    ) -> None:
        """Do as `run_batches` inside a running event loop, where batches may still be to come."""
        began = time.monotonic()
        try:
            await self._run_batches(one_by_one(batches), deliver, watch, ended)
        except BaseExceptionGroup as group:
            raise _first_error(group) from group
        finally:
            self.throughput.seconds += time.monotonic() - began

    async def _run_batches(self, batches: AsyncIterable[Batch], deliver: Deliver, watch: Watch, ended: Ended) -> None:
        limit = self._backend.concurrency
        if limit is None:
            async for batch in batches:
                check_prompts(batch.prompts, self._budget.prompt)
                places = asyncio.Semaphore(len(batch.prompts))
                async with self._backend.session(len(batch.prompts), watch) as session:
                    await self._roll_batch(session, batch, places, watch, deliver, ended)
            return
        places = asyncio.Semaphore(limit)
        async with self._backend.session(limit, watch) as session, asyncio.TaskGroup() as group:
            async for batch in batches:
                check_prompts(batch.prompts, self._budget.prompt)
                begun = asyncio.Event()
                group.create_task(self._roll_batch(session, batch, places, watch, deliver, ended, begun))
                await begun.wait()

    async def _roll_batch(
        self,
        session: Session,
        batch: Batch,
        places: asyncio.Semaphore,
        watch: Watch,
        deliver: Deliver,
        ended: Ended,
        begun: asyncio.Event | None = None,
    ) -> None:
        """Roll out a batch, each trajectory as a place frees up; `begun` is set once all have one.

        The trajectory that ends last delivers the batch before it gives way to others, so that no error among those
        can lose what is whole.
        """
        rolled: dict[int, Trajectory] = {}

        async def one(number: int) -> None:
            drawn = await self._roll(session, batch.prompts[number], batch.seed_of(number))
            rolled[number] = await batch.settled(number, drawn, self.sandbox)
            first = number - number % batch.group
            members = range(first, first + batch.group)
            if all(member in rolled for member in members):
                ended(batch, first // batch.group, [rolled[member] for member in members])
            if len(rolled) == len(batch.prompts):
                deliver(batch, [rolled[place] for place in range(len(rolled))])
            # Not where it failed: the others are cancelled then, and a session must not draw for them once more.
            places.release()
            session.retire()
            watch.finished()

        if not batch.prompts:
            deliver(batch, [])
        async with asyncio.TaskGroup() as group:
            for number in range(len(batch.prompts)):
                await places.acquire()
                group.create_task(one(number))
            if begun:
                begun.set()

    async def _roll(self, session: Session, prompt: Sequence[int], seed: int) -> Trajectory:
        """Roll out one trajectory: draw a turn, run its program, append what it printed, until something ends it.

        A turn takes several draws where a backend stopped at a text that closed no program.
        """
        built = TrajectoryBuilder(list(prompt), self._budget.response, opens_thought(self.tokenizer, prompt))
        stop = STOP if self._budget.turns else self._budget.stop
        ends_at_text = stop is not None and not self._budget.turns
        while built.finish is None:
            draw_seed = (seed + built.draws * _DRAW_STRIDE) % SEED_LIMIT
            watch = None if ends_at_text else self._rules.watch(built.turn, thinking=built.thinking)
            drawn = await session.generate(Request(built.prompt + built.completion, built.room, stop, draw_seed, watch))
            self.throughput.tokens += len(drawn.token_ids)
            built.append_drawn(drawn.token_ids, drawn.logprobs)
            own = built.turn[:-1] if drawn.finish == "eos" else built.turn
            end = self._rules.find_end(own, thinking=built.thinking, whole=drawn.finish != "stop")
            built.end_turn(drawn.finish, end, self._budget.turns)
            if end is not None and built.finish is None:
                call = await self._call_tool(end)
                built.append_observation(call, self._observations.token_ids(end.text, call.observation))
        return built.trajectory(self.tokenizer)

    async def _call_tool(self, end: End) -> ToolCall:
        if not end.program:
            return ToolCall(tool=end.tool, code="", observation=NO_CODE, status="no_code")
        with TOOLS.blamed(end.tool):
            output = await self._tools[end.tool].run(end.program, self.sandbox)
        return ToolCall(tool=end.tool, code=end.program, observation=output.text, status=output.status)


NO_CODE = "Error: the block holds no program."


def _first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error that the other coroutines were cancelled for."""
    error = group.exceptions[0]
    return _first_error(error) if isinstance(error, BaseExceptionGroup) else error
