"""What a domain is: data and small functions, which a module of its own puts together."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from agent0.errors import UsageError, explain, reason_of, warn

if TYPE_CHECKING:
    from jinja2 import nodes

    from agent0.domains.verification import Verifier

Message = dict[str, str]
"""A chat turn: `role` (system, user or assistant) and `content`."""

ROLES = ("system", "user", "assistant")
QUESTION_FIELD, TOOL_FIELD = "{question}", "{tool}"
TOPIC_FIELD, EXAMPLES_FIELD = "{topic}", "{examples}"
_RESERVED_PART = 5
_GENERATION = re.compile(r"\{%-?\s*(?:end)?generation\s*-?%\}")


@dataclass(frozen=True)
class AgentPrompt:
    """What an agent is asked with.

    Attributes:
        messages: chat turns. `{question}` stands for the task, `{tool}` for the rules of the tools, and for nothing
            where the agent has none.
        worked: turns of worked examples, which show the tool; they come before the last message, for models that need
            them (`rollout.prompts.worked`), and only for an agent with Python.

    Raises:
        UsageError: there is no message, or one is no chat turn.
    """

    messages: tuple[Message, ...]
    worked: tuple[Message, ...] = ()

    def __post_init__(self) -> None:
        for message in (*self.messages, *self.worked):
            if not _is_turn(message):
                raise UsageError(
                    f"A prompt has {message!r:.100} for a turn; give a tuple of turns "
                    '{"role": "system", "user" or "assistant", "content": TEXT}, with a comma even behind a single one.'
                )
        if not self.messages:
            raise UsageError("A prompt has no message, so an agent would be asked nothing; give it a user's turn.")


@dataclass(frozen=True)
class PromptSet:
    """The prompts of both agents.

    Attributes:
        curriculum: asks for one new task.
        executor: asks for the solution of `{question}`.
        tool: what `{tool}` says of Python to an agent that has it; empty for `protocol.TOOL_RULES`.
        plain: chat template (Jinja) for models whose tokenizer has none; empty for `prompts.PLAIN_TEMPLATE`.
        topic: what the curriculum agent's last message goes on with where a `{topic}` is asked for; empty: none can be.
        examples: what it goes on with where it is shown `{examples}`, a list of questions; empty: none can be.
        teacher: asks a model that knows nothing of the domain for one new task (`generation.teacher`), and says how a
            task is written; None: `curriculum` does, without the tool.

    Raises:
        UsageError: a part is of another kind, `plain` is no template, or a text lacks the field that it is there for.
    """

    curriculum: AgentPrompt
    executor: AgentPrompt
    tool: str = ""
    plain: str = ""
    topic: str = ""
    examples: str = ""
    teacher: AgentPrompt | None = None

    def __post_init__(self) -> None:
        asking = (self.curriculum, self.executor, *([] if self.teacher is None else [self.teacher]))
        if not all(isinstance(prompt, AgentPrompt) for prompt in asking):
            raise UsageError("A PromptSet has what is no AgentPrompt; give AgentPrompt((…turns…,)) for both agents.")
        if not all(isinstance(text, str) for text in (self.tool, self.plain, self.topic, self.examples)):
            raise UsageError("A PromptSet's tool, plain, topic and examples are texts; leave out what is not needed.")
        for field_, text in ((TOPIC_FIELD, self.topic), (EXAMPLES_FIELD, self.examples)):
            if text and field_ not in text:
                raise UsageError(f"A PromptSet's text {text!r:.80} lacks {field_}, which it is there for; put it in.")
        if self.plain:
            _check_template(self.plain)
        if not any(QUESTION_FIELD in message["content"] for message in self.executor.messages):
            raise UsageError(
                "The executor's prompt has no {question}, so it would never be told its task; put {question} into one "
                "of its messages."
            )


@dataclass(frozen=True)
class WorkedTask:
    """A task written by a program.

    Attributes:
        question: as an agent would be asked.
        answer: the truth.
        program: Python that prints the answer; empty where none is known.
        group: kind of task, by which a benchmark breaks down; may be empty.
        proposal: what the curriculum agent would write, where the question is only made of it; empty: the question.
    """

    question: str
    answer: str
    program: str
    group: str = ""
    proposal: str = ""


def _is_turn(message: object) -> bool:
    return isinstance(message, dict) and message.get("role") in ROLES and isinstance(message.get("content"), str)


def parsed_template(text: str) -> nodes.Template:
    """Return the syntax of a chat template, as `transformers` reads it.

    Raises:
        TemplateSyntaxError: it has none.
    """
    from jinja2 import Environment

    # transformers knows one tag beside Jinja's own, which says what the assistant wrote.
    return Environment(extensions=["jinja2.ext.loopcontrols"]).parse(_GENERATION.sub("", text))


def _check_template(text: str) -> None:
    from jinja2 import TemplateSyntaxError

    try:
        parsed_template(text)
    except TemplateSyntaxError as error:
        raise UsageError(
            f"The chat template {text!r:.80} (rollout.prompts.plain, or the domain's) is no Jinja template "
            f"({reason_of(error)}); correct it."
        ) from error


def in_reserved_fifth(question: str) -> bool:
    """Return whether `question`, whatever its case and spacing, belongs to the fifth that is kept for evaluation."""
    words = " ".join(question.lower().split())
    return hashlib.sha256(words.encode()).digest()[0] % _RESERVED_PART == 0


def _nothing_known(question: str) -> None:
    return None


def _nothing_held_out(question: str) -> bool:
    return False


def _any_topic(question: str, topic: str) -> bool:
    return True


def _whole(question: str) -> str:
    return question


@dataclass(frozen=True)
class Domain:
    """A kind of task. Where labels are voted, its truth is for audits and evaluation, or as `filtering.truth` says.

    Attributes:
        prompts: of both agents.
        rejection: why a question is not valid, as a short snake_case reason; None if it is valid.
        known_answer: the truth of a valid question; None where it is not known.
        held_out: whether a question is reserved for evaluation and must not be trained on.
        draw: writes a task with its solution; from it come the demonstrations of a warm start and the benchmark
            `domain:NAME`. None where no program can write one.
        variants: more prompts by name (`rollout.prompts.variant`).
        topics: names of topics that the curriculum agent can be asked for (`curriculum.conditioning.topics`).
        on_topic: whether a valid question belongs to the topic that it was asked for, which is a name of `topics`; a
            proposal that does not is rejected as `off_topic`. Without it a topic is asked for and not checked.
        verifier: finds the truth in the sandbox; with it labels are verified, without it they are voted.
        posed: what the executor is told of a question, which may also hold what its answer is checked by.

    Raises:
        UsageError: a part is not what it must be.
    """

    prompts: PromptSet
    rejection: Callable[[str], str | None]
    known_answer: Callable[[str], str | None] = _nothing_known
    held_out: Callable[[str], bool] = _nothing_held_out
    draw: Callable[[random.Random], WorkedTask] | None = None
    variants: Mapping[str, PromptSet] = field(default_factory=dict)
    topics: tuple[str, ...] = ()
    on_topic: Callable[[str, str], bool] = _any_topic
    verifier: Verifier | None = None
    posed: Callable[[str], str] = _whole

    def __post_init__(self) -> None:
        if not all(isinstance(prompts, PromptSet) for prompts in (self.prompts, *self.variants.values())):
            raise UsageError("Its prompts are no PromptSet; give PromptSet(curriculum=…, executor=…).")
        if not isinstance(self.topics, tuple) or not all(re.fullmatch(r"[\w ./-]+", str(name)) for name in self.topics):
            raise UsageError(
                f"Its topics are {self.topics!r:.80}; give a tuple of names, of letters, digits, spaces and . / - _."
            )
        for name in ("rejection", "known_answer", "held_out", "draw", "on_topic", "posed"):
            part = getattr(self, name)
            if not callable(part) and not (name == "draw" and part is None):
                raise UsageError(f"Its part {name} is {part!r:.60}, which cannot be called; give a function.")
        if self.verifier is not None and not self.knows_truth:
            raise UsageError("It has a verifier but no known_answer, which a right answer counts as; give it one.")

    @property
    def labels(self) -> Literal["voted", "verified"]:
        """Where labels come from: the executor's vote, or the domain's verifier."""
        return "voted" if self.verifier is None else "verified"

    @property
    def knows_truth(self) -> bool:
        """Whether the truth of some questions is known."""
        return self.known_answer is not _nothing_known

    def truth(self, question: str) -> str | None:
        """Return the known answer; None and a warning where the domain's code fails: no vote is lost for an audit."""
        try:
            return self.known_answer(question)
        except Exception as error:  # a domain's own code may raise anything
            warn(f"The truth of {question!r:.200} is not known, since finding it failed: {explain(error)}")
            return None
