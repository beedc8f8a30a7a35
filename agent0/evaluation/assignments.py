"""From settings to what is asked: the questions of each benchmark as token ids, with decoding, k and seeds.

All that is asked and how is in the fingerprint, by which an interrupted evaluation is known again; model and engine
come to it where the samples are kept (`runner.open_stores`). Nothing here loads a model's weights.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from agent0.benchmarks.catalogue import benchmark as named
from agent0.benchmarks.loading import load_benchmark, load_shots, shots_for
from agent0.benchmarks.spec import QUESTION_SEED, Benchmark, Item, Protocol, content_hash, number_items
from agent0.config import EvaluationSettings, RolloutSettings, SamplingSettings
from agent0.domains import Message, Prompts, get_prompts
from agent0.errors import UsageError
from agent0.evaluation.statistics import minimum_detectable_difference
from agent0.evaluation.stratified import stratified_subset
from agent0.rollout.engine import TokenBudget
from agent0.seeds import derive_seed
from agent0.tools import get_tools, tool_rules


@dataclass(frozen=True)
class Question:
    """One item as it is asked; `position` is its place in the whole benchmark, which decides its seeds."""

    item: Item
    position: int
    messages: tuple[Message, ...]
    prompt: list[int]


@dataclass(frozen=True)
class Assignment:
    """One benchmark, ready to be asked.

    `tools` are the names of those that may be called. `revision` is the commit that the rows are known to come from;
    `generated` says what made them instead (the fields of `results.GenerationRecord`). `stratum` is the kind of group
    that a subset was drawn by (empty: all items are one stratum), `sizes` counts the items of the whole benchmark by
    stratum.
    """

    benchmark: Benchmark
    protocol: Protocol
    sampling: SamplingSettings
    questions: tuple[Question, ...]
    published: int
    content_sha256: str
    seed: int
    tools: tuple[str, ...]
    revision: str | None = None
    generated: Mapping[str, str | int] | None = None
    stratum: str = ""
    sizes: Mapping[str, int] = field(default_factory=dict)

    @property
    def tool(self) -> bool:
        """Whether tools may be called."""
        return bool(self.tools)

    @property
    def samples(self) -> int:
        """K, trajectories per question."""
        return self.protocol.decoding.samples

    @property
    def is_subset(self) -> bool:
        """Whether only some of the benchmark's questions are asked."""
        return len(self.questions) < self.published

    @property
    def budget(self) -> TokenBudget:
        """Limits of one trajectory; the prompt's is that of the longest one."""
        decoding = self.protocol.decoding
        return TokenBudget(
            prompt=max(len(question.prompt) for question in self.questions),
            response=decoding.max_tokens,
            observation=decoding.observation_tokens,
            turns=decoding.max_turns if self.tool else 0,
            stop=None if self.tool or not decoding.stop else decoding.stop[0],
            ends_at="answer" if self.protocol.ends_at_answer else None,
            tools=get_tools(self.tools),
        )

    @property
    def total(self) -> int:
        """Trajectories in all."""
        return len(self.questions) * self.samples

    def seed_of(self, question: Question, sample: int) -> int:
        """Return the seed of a sample (0 to k-1): the same in a subset as in the whole benchmark."""
        return derive_seed(derive_seed(self.seed, 0), question.position * self.samples + sample)

    def stratum_of(self, item: Item) -> str:
        """Return the stratum that an item belongs to."""
        return item.groups[self.stratum] if self.stratum else ""

    def fingerprint(self) -> dict[str, Any]:
        """Return everything that decides a number but model, engine and sandbox, as JSON values."""
        prompts = hashlib.sha256()
        for question in self.questions:
            prompts.update(json.dumps([question.item.id, question.prompt]).encode())
        return {
            "benchmark": self.benchmark.name,
            "content": self.content_sha256,
            "generated": self.generated,
            "questions": len(self.questions),
            "prompts": prompts.hexdigest(),
            "decoding": json.loads(json.dumps(asdict(self.protocol.decoding))),
            "sampling": self.sampling.model_dump(),
            "tool": self.tool,
            **({"tools": list(self.tools)} if self.tools not in ((), ("python",)) else {}),
            "ends_at_answer": self.protocol.ends_at_answer,
            "seed": self.seed,
        }

    def detectable_difference(self) -> float:
        """Return the smallest difference to another model that this run will show, before anything is known of it.

        For an accuracy of one half, unrelated models and 5 % significance at 80 % power. Samples of a question are
        taken for alike by half.
        """
        return minimum_detectable_difference(len(self.questions), samples=self.samples, correlation_within=0.5)

    def can_show(self) -> str:
        """Return the least difference to another model that a run can show; a handful of questions can show none."""
        difference = self.detectable_difference()
        return f"{100 * difference:.1f} points" if difference <= 1 else "nothing"


def prepare(
    settings: EvaluationSettings, rollout: RolloutSettings, tokenizer: Any, seed: int
) -> tuple[Assignment, ...]:
    """Load every benchmark of the settings and put its questions into tokens.

    Args:
        settings: which benchmarks, from where, under which preset.
        rollout: prompts and budget of the generated benchmarks; number of tool calls and observation tokens of all.
        tokenizer: the model's.
        seed: of the sampling.

    Raises:
        BenchmarkError: a benchmark's data are missing, changed, or not its own.
        UsageError: an unknown benchmark, one named twice, or a subset that does not fit.
    """
    if len(set(settings.benchmarks)) != len(settings.benchmarks):
        raise UsageError(f"A benchmark is named twice: {', '.join(settings.benchmarks)}.")
    entries = [named(name) for name in settings.benchmarks]  # all names are checked before the first is loaded
    allowed = rollout if settings.tool else rollout.model_copy(update={"max_turns": 0})
    return tuple(_assignment(entry, settings, allowed, tokenizer, seed) for entry in entries)


def check_room(assignments: Sequence[Assignment], positions: int | None) -> None:
    """Refuse what the model cannot hold, before the first sample is drawn and not where its turn comes.

    Args:
        assignments: all that will be asked.
        positions: the longest sequence that the model knows; None where it does not say.

    Raises:
        UsageError: a benchmark's longest prompt and its answer do not fit.
    """
    for assignment in assignments:
        budget = assignment.budget
        if positions is not None and budget.prompt + budget.response > positions:
            field = "rollout.max_response_tokens" if assignment.benchmark.generate else "evaluation.max_response_tokens"
            raise UsageError(
                f"{assignment.benchmark.name} has prompts of up to {budget.prompt} tokens and leaves {budget.response} "
                f"for the answer, but the model knows {positions} positions; lower {field}, or leave the benchmark out."
            )


def _assignment(
    entry: Benchmark, settings: EvaluationSettings, rollout: RolloutSettings, tokenizer: Any, seed: int
) -> Assignment:
    prompts = get_prompts(rollout)
    if entry.generate is not None:
        items = number_items(entry.generate(settings.questions_per_level))
        protocol, sampling = _trained_protocol(entry, settings, rollout), settings.sampling
        turns = [prompts.solve(item.question) for item in items]
        asked = [(messages, prompts.encode(tokenizer, messages)) for messages in turns]
        chosen, stratum, revision = items, "", None
        generated = _generation(entry, settings.questions_per_level)
    else:
        loaded = load_benchmark(entry, settings.data or None, partial=settings.sampled_rows)
        items, revision, generated = loaded.items, loaded.revision, None
        protocol = _protocol(entry, settings, rollout)
        sampling = _sampling(protocol)
        stratum = _stratum(entry, protocol, items, settings.limit)
        chosen = _subset(items, settings.limit, stratum)
        shots = load_shots(entry, settings.data or None) if protocol.prompt.shots else []
        asked = [_ask(tokenizer, prompts, protocol, item, shots) for item in chosen]
    positions = {item.id: position for position, item in enumerate(items)}
    assignment = Assignment(
        benchmark=entry,
        protocol=protocol,
        sampling=sampling,
        questions=tuple(
            Question(item, positions[item.id], tuple(messages), prompt)
            for item, (messages, prompt) in zip(chosen, asked, strict=True)
        ),
        published=len(items),
        content_sha256=content_hash(items),
        revision=revision,
        generated=generated,
        seed=seed,
        tools=rollout.tools if rollout.has_tool else (),
        stratum=stratum,
    )
    sizes: dict[str, int] = {}
    for item in items:
        name = assignment.stratum_of(item)
        sizes[name] = sizes.get(name, 0) + 1
    return replace(assignment, sizes=sizes)


def _protocol(entry: Benchmark, settings: EvaluationSettings, rollout: RolloutSettings) -> Protocol:
    protocol = entry.protocols[settings.preset]
    if rollout.has_tool:
        rules = tool_rules(rollout.tools)
        protocol = protocol.with_tool(rollout.max_turns, rollout.max_observation_tokens, rules)
    decoding = replace(
        protocol.decoding,
        samples=settings.published_samples or protocol.decoding.samples,
        max_tokens=settings.max_response_tokens or protocol.decoding.max_tokens,
    )
    return replace(protocol, decoding=decoding)


def _generation(entry: Benchmark, per_group: int) -> Mapping[str, str | int]:
    assert entry.dataset.seed is not None, "a benchmark that is generated says from which seed"
    return {"generator": entry.dataset.generator, "seed": entry.dataset.seed, "per_group": per_group}


def _trained_protocol(entry: Benchmark, settings: EvaluationSettings, rollout: RolloutSettings) -> Protocol:
    """A generated benchmark is asked as the agents are trained: with the evolution's own budget and sampling."""
    protocol = entry.protocols[settings.preset]
    decoding = replace(
        protocol.decoding,
        max_tokens=rollout.max_response_tokens,
        samples=settings.samples,
        temperature=settings.sampling.temperature,
        top_p=settings.sampling.top_p,
        top_k=settings.sampling.top_k or -1,
        max_turns=rollout.max_turns,
        observation_tokens=rollout.max_observation_tokens,
    )
    return replace(protocol, decoding=decoding)


def _sampling(protocol: Protocol) -> SamplingSettings:
    decoding = protocol.decoding
    return SamplingSettings(temperature=decoding.temperature, top_p=decoding.top_p, top_k=max(0, decoding.top_k))


def _stratum(entry: Benchmark, protocol: Protocol, items: Sequence[Item], limit: int) -> str:
    """Return the kind of group that a subset is drawn by: one that all items have, with no more groups than questions.

    Raises:
        UsageError: the headline is a mean over tasks, and the subset cannot have a question of each.
    """
    if not limit or limit >= len(items):
        return ""
    for kind in entry.breakdowns:
        groups = {item.groups.get(kind) for item in items}
        if None not in groups and len(groups) <= limit:
            return kind
    if protocol.aggregation == "harmonic":
        raise UsageError(f"A subset of {entry.title} needs a question of every task; raise evaluation.limit ({limit}).")
    return ""


def _subset(items: list[Item], limit: int, stratum: str) -> list[Item]:
    """Draw the questions of a limited run: always the same ones, so that any two runs can be paired."""
    if not limit or limit >= len(items):
        return items
    if stratum:
        return stratified_subset(items, stratum, limit, QUESTION_SEED)
    whole = [replace(item, groups={**item.groups, "": ""}) for item in items]
    wanted = {item.id for item in stratified_subset(whole, "", limit, QUESTION_SEED)}
    return [item for item in items if item.id in wanted]


def _ask(
    tokenizer: Any, prompts: Prompts, protocol: Protocol, item: Item, shots: Sequence[Item]
) -> tuple[list[Message], list[int]]:
    """Return the messages that ask an item, and their tokens, with as many worked examples as the limit leaves room."""
    prompt = protocol.prompt
    shown = shots_for(item, shots, prompt.shots_by, prompt.shots)
    messages = prompt.messages(item, shown)
    encoded = _encoded(tokenizer, prompts, protocol, messages)
    while shown and prompt.prompt_limit and len(encoded) >= prompt.prompt_limit:
        shown = shown[:-1]
        messages = prompt.messages(item, shown, fewer=True)
        encoded = _encoded(tokenizer, prompts, protocol, messages)
    return messages, encoded


def _encoded(tokenizer: Any, prompts: Prompts, protocol: Protocol, messages: list[Message]) -> list[int]:
    if protocol.prompt.chat:
        return prompts.encode(tokenizer, messages)
    token_ids: list[int] = tokenizer(messages[-1]["content"]).input_ids
    return token_ids
