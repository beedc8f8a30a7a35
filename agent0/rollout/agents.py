"""The two agents as users of the trajectory engine: the curriculum agent proposes tasks, the executor solves them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from agent0.config import RolloutSettings
from agent0.domains import (
    UNCONDITIONED,
    Domain,
    Examined,
    Message,
    Prompts,
    Verifier,
    examine_all,
    get_domain,
    get_prompts,
    settled,
)
from agent0.protocol import parse_question
from agent0.rollout.batches import Batch
from agent0.rollout.drawing_watch import NOBODY, Watch
from agent0.rollout.engine import RolloutEngine, Throughput
from agent0.rollout.model_folders import load_tokenizer
from agent0.rollout.tokens import spells_control_token
from agent0.seeds import derive_seed
from agent0.tools import ProgramRunner
from agent0.types import Condition, Trajectory

OFF_TOPIC = "off_topic"
"""Why a question is not taken that belongs to another topic than it was asked for."""


class QuestionRules(Protocol):
    """What a proposed question must be."""

    @property
    def verifier(self) -> Verifier | None:
        """What examines a question beside these rules, where labels are verified."""

    def rejection(self, question: str) -> str | None:
        """Return why `question` is not taken, as a short snake_case reason, or None if it is."""

    def on_topic(self, question: str, topic: str) -> bool:
        """Return whether a question that is taken belongs to the topic that it was asked for."""


@dataclass(frozen=True)
class Askable:
    """Takes a question that is valid in its domain and that the executor's prompt has room for.

    Text of a length that the domain allows may still be thousands of tokens, and one such proposal among thousands must
    cost its own reward, not end the run at the prompt's limit.
    """

    domain: Domain
    tokenizer: Any
    prompts: Prompts
    prompt_tokens: int

    @property
    def verifier(self) -> Verifier | None:
        """See `QuestionRules`."""
        return self.domain.verifier

    def rejection(self, question: str) -> str | None:
        """See `QuestionRules`."""
        if spells_control_token(self.tokenizer, question):
            return "control_token"
        return self.domain.rejection(question) or (None if self.has_room(question) else "too_many_tokens")

    def on_topic(self, question: str, topic: str) -> bool:
        """See `QuestionRules`."""
        return self.domain.on_topic(question, topic)

    def has_room(self, question: str) -> bool:
        """Whether the executor's prompt with `question` is within the budget."""
        return len(self.prompts.encode(self.tokenizer, self.prompts.solve(question))) <= self.prompt_tokens


Solved = Callable[[int, int, list[Trajectory]], None]
"""Told of a question that was solved, by its batch's key and its place in it, the moment its last trajectory has ended.
It must be quick."""


def _unheard(key: int, place: int, trajectories: list[Trajectory]) -> None:
    """Let a question be solved; see `Solved`."""


@dataclass(frozen=True)
class Proposal:
    """What a proposal trajectory amounts to: a valid question, or the reason why there is none."""

    trajectory: Trajectory
    question: str | None
    rejection: str | None


class CurriculumAgent:
    """Proposes questions with the Python tool at hand."""

    def __init__(self, engine: RolloutEngine, prompts: Prompts, rules: QuestionRules) -> None:
        self._engine = engine
        self._prompts = prompts
        self._rules = rules

    @property
    def throughput(self) -> Throughput:
        """What the engine has drawn so far, and how fast."""
        return self._engine.throughput

    def propose(self, count: int, seed: int, watch: Watch = NOBODY) -> list[Proposal]:
        """Draw `count` proposals of whatever kind."""
        asked = [UNCONDITIONED] * count
        return self.read(self._engine.run(self._prompts_for(asked), seed, watch), asked)

    def propose_batches(
        self,
        batches: Iterable[tuple[int, Sequence[Condition]]],
        seed: int,
        deliver: Callable[[int, list[Trajectory]], None],
        watch: Watch = NOBODY,
    ) -> None:
        """Draw batches of proposals and hand over each with its key when it is whole, to be `read` elsewhere.

        Args:
            batches: keys, each with what is asked for in every proposal of its batch.
            seed: of all batches together.
            deliver: given a key and the trajectories of its batch, in order.
            watch: told of what is drawn.
        """
        self._engine.run_batches(
            (Batch(key, self._prompts_for(conditions), derive_seed(seed, key)) for key, conditions in batches),
            lambda batch, trajectories: deliver(batch.key, trajectories),
            watch,
        )

    def read(self, trajectories: Sequence[Trajectory], conditions: Sequence[Condition]) -> list[Proposal]:
        """Return what trajectories propose, given what each was asked for; see `read_proposals`."""
        return read_proposals(trajectories, [own.topic for own in conditions], self._rules, self._engine.sandbox)

    def _prompts_for(self, conditions: Sequence[Condition]) -> list[list[int]]:
        encoded = {
            condition: self._prompts.encode(self._engine.tokenizer, self._prompts.propose(condition))
            for condition in set(conditions)
        }
        return [encoded[condition] for condition in conditions]


class ExecutorAgent:
    """Solves questions with the Python tool at hand; its answers are settled, where the domain verifies them."""

    def __init__(self, engine: RolloutEngine, prompts: Prompts, domain: Domain) -> None:
        self._engine = engine
        self._prompts = prompts
        self._domain = domain

    @property
    def throughput(self) -> Throughput:
        """What the engine has drawn so far, and how fast."""
        return self._engine.throughput

    def solve(
        self,
        questions: Sequence[str],
        samples: int,
        seed: int,
        watch: Watch = NOBODY,
        solved: Solved = _unheard,
    ) -> list[list[Trajectory]]:
        """Draw `samples` trajectories for each question; the result is aligned with `questions`."""
        groups: list[list[Trajectory]] = []
        self.solve_batches([(0, questions)], samples, seed, lambda _, batch: groups.extend(batch), watch, solved)
        return groups

    def solve_batches(
        self,
        batches: Iterable[tuple[int, Sequence[str]]],
        samples: int,
        seed: int,
        deliver: Callable[[int, list[list[Trajectory]]], None],
        watch: Watch = NOBODY,
        solved: Solved = _unheard,
    ) -> None:
        """Solve batches of questions, given as (key, questions), and hand over each with its key when it is whole.

        What is delivered is aligned with the batch's questions, `samples` trajectories for each.
        """
        self._engine.run_batches(
            (self._batch(key, questions, samples, derive_seed(seed, key)) for key, questions in batches),
            lambda batch, flat: deliver(batch.key, [flat[i : i + samples] for i in range(0, len(flat), samples)]),
            watch,
            lambda batch, place, trajectories: solved(batch.key, place, trajectories),
        )

    async def solve_as_they_come(
        self, questions: AsyncIterable[tuple[int, str]], samples: int, seed: int, solved: Solved, watch: Watch = NOBODY
    ) -> None:
        """Solve questions, given as (key, question), from the moment each is there until there are no more.

        Seeds come from `seed` and the question itself, so that the order in which questions come does not matter.
        """
        await self._engine.arun_batches(
            (self._batch(key, [text], samples, derive_seed(seed, text)) async for key, text in questions),
            lambda batch, trajectories: solved(batch.key, 0, trajectories),
            watch,
        )

    def reply(self, conversations: Sequence[Sequence[Message]], tokens: int, seed: int) -> list[str]:
        """Draw one reply of at most `tokens` tokens to each conversation, without the tool; one too long gets none."""
        engine = self._engine.without_tool(tokens)
        encoded = [self._prompts.encode(engine.tokenizer, turns) for turns in conversations]
        asked = {number: ids for number, ids in enumerate(encoded) if len(ids) <= engine.prompt_tokens}
        drawn = dict(zip(asked, engine.run(list(asked.values()), seed), strict=True))
        return [drawn[number].text if number in drawn else "" for number in range(len(encoded))]

    def _batch(self, key: int, questions: Sequence[str], samples: int, seed: int) -> Batch:
        async def settle(number: int, trajectory: Trajectory, sandbox: ProgramRunner) -> Trajectory:
            return await settled(self._domain, questions[number // samples], trajectory, sandbox)

        return Batch(key, self._prompts_of(questions, samples), seed, group=samples, settle=settle)

    def _prompts_of(self, questions: Sequence[str], samples: int) -> list[list[int]]:
        encoded = [
            self._prompts.encode(self._engine.tokenizer, self._prompts.solve(question)) for question in questions
        ]
        return [prompt for prompt in encoded for _ in range(samples)]


def askable(executor: Path, rollout: RolloutSettings) -> Askable:
    """Return the rules for questions to the executor in a model folder, whose tokenizer counts them.

    Raises:
        Agent0Error: there is no model.
    """
    return Askable(
        get_domain(rollout.domain), load_tokenizer(executor), get_prompts(rollout), rollout.max_prompt_tokens
    )


def read_proposal(trajectory: Trajectory, topic: str, rules: QuestionRules) -> Proposal:
    """Parse a proposal strictly: it must have ended by itself and hold exactly one question that the rules accept.

    Where it was asked for a `topic`, its question must belong to it.
    """
    question = parse_question(trajectory.text)
    if trajectory.truncated:
        return Proposal(trajectory, None, "truncated")
    if question is None:
        return Proposal(trajectory, None, "no_question")
    rejection = rules.rejection(question)
    if rejection is None and topic and not rules.on_topic(question, topic):
        rejection = OFF_TOPIC
    return Proposal(trajectory, question if rejection is None else None, rejection)


def read_proposals(
    trajectories: Sequence[Trajectory], topics: Sequence[str], rules: QuestionRules, sandbox: ProgramRunner
) -> list[Proposal]:
    """Parse proposals, each asked for its topic, or for none where that is empty.

    Where labels are verified, those that are valid are examined, and the sandbox is waited for.
    """
    read = [read_proposal(made, topic, rules) for made, topic in zip(trajectories, topics, strict=True)]
    if rules.verifier is None:
        return read
    found = examine_all(rules.verifier, (p.question for p in read if p.question is not None), sandbox)
    return [p if p.question is None else _examined(p, found[p.question], rules) for p in read]


def _examined(proposal: Proposal, found: Examined, rules: QuestionRules) -> Proposal:
    rejection = found.rejection if found.question is None else rules.rejection(found.question)
    return Proposal(proposal.trajectory, found.question if rejection is None else None, rejection)


def nothing_valid(rejections: Counter[str]) -> str:
    """Return what to say of proposals that were all rejected, counted by reason."""
    reasons = ", ".join(f"{count} {reason}" for reason, count in rejections.most_common())
    advice = " One that does not keep to its topics can be asked for none (curriculum.conditioning.topics)."
    return (
        f"None of {rejections.total()} proposals is a valid question ({reasons}). A model that never knew how to "
        "propose needs a warm start (warm_start.steps; `agent0 doctor --model` tries one beforehand); one that forgot "
        "it needs a gentler training (curriculum.learning_rate, curriculum.steps)."
        f"{advice if rejections[OFF_TOPIC] else ''}"
    )


def mean_tool_calls(trajectories: Sequence[Trajectory]) -> float:
    """Mean number of tool calls per trajectory; 0 for none."""
    return sum(len(t.tool_calls) for t in trajectories) / max(1, len(trajectories))


def truncated_share(trajectories: Sequence[Trajectory]) -> float:
    """Share of trajectories that ran out of budget; 0 for none."""
    return sum(t.truncated for t in trajectories) / max(1, len(trajectories))
