"""What a benchmark is: a dataset, how to ask, how to decode, which rule reads and judges the answer.

Everything is data plus small functions; nothing here runs a model or reads a file. A benchmark has one protocol per
preset. `paper` follows Agent0 §4.1 and App. A.2 (zero-shot boxed answers, greedy, mean@32 on AMC and AIME);
`official` follows the benchmark's own authors.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from agent0.answers import Verdict
from agent0.benchmarks.votes import exact_vote
from agent0.errors import Agent0Error
from agent0.protocol import TOOL_RULES
from agent0.types import Vote

QUESTION_SEED = 20_251_116  # fixed: every evaluation asks the same questions, whatever the run's seed
Preset = Literal["paper", "official"]
PRESETS: tuple[Preset, ...] = ("paper", "official")
Row = Mapping[str, Any]
LETTERS = "ABCDEFGHIJ"
_FIELD = re.compile(r"\{(question|options|category|shots|gold|solution)\}")


class BenchmarkError(Agent0Error):
    """A benchmark's data are missing, changed, or not what the benchmark says."""


@dataclass(frozen=True)
class Item:
    """One question of a benchmark.

    `groups` names what the item belongs to (category, task, level, …); `solution` is the worked reference where the
    dataset has one, for use as a shot; `entry` is the question as the benchmark's own verifier knows it, if it has one.
    """

    question: str
    gold: str
    options: tuple[str, ...] = ()
    groups: Mapping[str, str] = field(default_factory=dict)
    solution: str = ""
    id: str = ""
    entry: str = ""

    def digest(self) -> str:
        """Return a short hash of what is asked and what is right: two different items never share it by accident."""
        text = json.dumps([self.question, list(self.options), self.gold, dict(self.groups)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Dataset:
    """Where the rows are published and what they must look like.

    Attributes:
        hub_id: repository on the hub; empty for a benchmark that is generated here.
        configurations: all are read, in this order; empty for the default one.
        split: name of the split, which for some benchmarks is `train`.
        revision: commit that is fetched; None where none is known, and then the mirror's manifest pins it.
        rows: published row count of the split; a pre-selection (`keep`) has been applied.
        sha256: `content_hash` of the items; None where none is known, and then the mirror's manifest pins it.
        columns: role → accepted column names, in order of preference.
        optional: roles that a file may lack.
        licence: as published, or 'unknown'.
        keep: selects the rows of this benchmark from the split.
        shots_split: split that worked examples are drawn from; empty where no protocol needs one.
        generator: what makes the questions of a benchmark that is generated, with its version.
        seed: that they are made from; None where they are not generated.
    """

    hub_id: str
    split: str
    rows: int
    columns: Mapping[str, tuple[str, ...]]
    licence: str
    configurations: tuple[str, ...] = ()
    revision: str | None = None
    sha256: str | None = None
    optional: tuple[str, ...] = ()
    keep: Callable[[Row], bool] | None = None
    shots_split: str = ""
    generator: str = ""
    seed: int | None = None


@dataclass(frozen=True)
class Prompt:
    """How an item is put to the model.

    `user` and `shot` are templates over {question}, {options}, {category}, {shots}, {gold} and {solution}; `option`
    formats one option with {letter} and {text}. `chat` is False where the protocol continues plain text. Worked
    examples are left out from the end while the prompt has `prompt_limit` tokens or more; 0 for no limit.
    """

    user: str
    system: str = ""
    option: str = "({letter}): {text}"
    shot: str = ""
    shots: int = 0
    shots_by: str = ""
    prompt_limit: int = 0
    chat: bool = True

    def messages(self, item: Item, shots: Sequence[Item] = (), *, fewer: bool = False) -> list[dict[str, str]]:
        """Return the messages that ask `item`; a prompt with `chat` False is one user message to continue.

        Args:
            item: what is asked.
            shots: worked examples, of which the first are shown.
            fewer: show what there is; for a prompt that would not fit its limit with all of them.

        Raises:
            BenchmarkError: fewer shots than the protocol asks for.
        """
        if len(shots) < self.shots and not fewer:
            raise BenchmarkError(f"This protocol shows {self.shots} worked examples; {len(shots)} were given.")
        worked = "".join(_fill(self.shot, self._fields(shot)) for shot in shots[: self.shots])
        user = {"role": "user", "content": _fill(self.user, {**self._fields(item), "shots": worked})}
        return [{"role": "system", "content": self.system}, user] if self.system else [user]

    def _fields(self, item: Item) -> dict[str, str]:
        lines = (
            self.option.replace("{letter}", letter).replace("{text}", text)
            for letter, text in zip(LETTERS, item.options, strict=False)
        )
        return {
            "question": item.question,
            "options": "\n".join(lines),
            "category": item.groups.get("category", ""),
            "gold": item.gold,
            "solution": item.solution,
        }


def _fill(template: str, fields: Mapping[str, str]) -> str:
    """Fill in one pass, so that braces in a question stay what they are."""
    return _FIELD.sub(lambda match: fields.get(match.group(1), match.group()), template)


@dataclass(frozen=True)
class Decoding:
    """Every parameter of the generation; `top_k` -1 means all tokens, `samples` is k of mean@k.

    With the tool, `max_tokens` bounds the whole trajectory, and an observation is cut to `observation_tokens`.
    """

    max_tokens: int
    samples: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = -1
    stop: tuple[str, ...] = ()
    max_turns: int = 1
    observation_tokens: int = 0


Ballot = Callable[[Sequence[str | None]], Vote]
Extractor = Callable[[str, Item], str | None]
Comparison = Callable[[Sequence[tuple[Item, str]]], list[Verdict]]


@dataclass(frozen=True)
class Rule:
    """How an answer is read from a response, and how it is judged; `source` says whose rule it is.

    `extract` returns None where the response holds no answer. `compare` judges many (item, answer) pairs at once.
    """

    extract: Extractor
    compare: Comparison
    source: str


@dataclass(frozen=True)
class Protocol:
    """One preset of a benchmark.

    Attributes:
        prompt: how it is asked.
        decoding: every parameter of the generation.
        rule: what the headline score rests on.
        others: more rules, reported beside the headline.
        aggregation: `micro` is the mean over items; `harmonic` is BBEH's mean over tasks.
        ends_at_answer: a trajectory ends at the first box that closes outside programs and thoughts, as those of the
            agents do. Where authors read a whole response, or its last box, nothing is cut.
        guessing: report the expected score of a random draw for invalid answers beside the headline.
        notes: where this departs from its source, and why.
    """

    prompt: Prompt
    decoding: Decoding
    rule: Rule
    others: Mapping[str, Rule] = field(default_factory=dict)
    aggregation: Literal["micro", "harmonic"] = "micro"
    ends_at_answer: bool = False
    guessing: bool = False
    notes: tuple[str, ...] = ()

    def with_tool(self, max_turns: int = 4, observation_tokens: int = 512, rules: str = TOOL_RULES) -> Protocol:
        """Return this protocol with tools of such rules; 4 turns and 512 tokens are those of the official scripts."""
        system = f"{self.prompt.system} {rules}".strip()
        return replace(
            self,
            prompt=replace(self.prompt, system=system, chat=True),
            decoding=replace(self.decoding, max_turns=max_turns, observation_tokens=observation_tokens),
        )


@dataclass(frozen=True)
class Benchmark:
    """A named benchmark.

    Attributes:
        name: as on the command line and in file names.
        title: as in a table.
        family: mathematics, multiple choice, reasoning, or what generates it.
        dataset: where its rows are.
        read: turns a row, keyed by role, into an item; raises ValueError where the gold has not the allowed form.
        protocols: one per preset.
        echo: a response that states a given gold, for checking that the rule of a preset accepts it.
        breakdowns: groups that are reported separately.
        vote: finds the majority of a question's answers; by default those that are written the same are one.
        generate: makes so many items of each group (level, family) of a benchmark that is not published. Such a
            benchmark is asked as the agents are trained, with their prompts, budget and sampling.
        per_group: items of each group that `dataset.rows` counts, where it is generated.
        probes: makes so many items in all that `generate` never makes: tasks with known answers, to audit votes.
        notes: traps of the data.
    """

    name: str
    title: str
    family: str
    dataset: Dataset
    read: Callable[[Row], Item]
    protocols: Mapping[Preset, Protocol]
    echo: Mapping[Preset, Callable[[Item], str]]
    breakdowns: tuple[str, ...] = ()
    vote: Ballot = exact_vote
    generate: Callable[[int], list[Item]] | None = None
    per_group: int = 0
    probes: Callable[[int], list[Item]] | None = None
    notes: tuple[str, ...] = ()


def file_name(benchmark: str) -> str:
    """Return a benchmark's name as files and folders have it: `gym-small` for `gym:small`, as not all allow a colon."""
    return benchmark.replace(":", "-")


def boxed_gold(item: Item) -> str:
    """Return a response that states the gold in a box and nothing else."""
    return f"\\boxed{{{item.gold}}}"


def number_items(items: Sequence[Item]) -> list[Item]:
    """Give every item an id that no other has: its own, else its digest; the second of a kind gets `#2`."""
    seen: dict[str, int] = {}
    numbered = []
    for item in items:
        name = item.id or item.digest()
        seen[name] = seen.get(name, 0) + 1
        numbered.append(replace(item, id=name if seen[name] == 1 else f"{name}#{seen[name]}"))
    return numbered


def content_hash(items: Sequence[Item]) -> str:
    """Return the SHA-256 of ids, questions, options and golds in order, whatever file format they came in."""
    digest = hashlib.sha256()
    for item in items:
        digest.update(json.dumps([item.id, item.question, list(item.options), item.gold]).encode() + b"\n")
    return digest.hexdigest()
