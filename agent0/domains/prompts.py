"""Prompts as a configuration has them, and how they become a model's own text and tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from agent0.domains.domain import (
    EXAMPLES_FIELD,
    QUESTION_FIELD,
    TOOL_FIELD,
    TOPIC_FIELD,
    AgentPrompt,
    Message,
    PromptSet,
    parsed_template,
)
from agent0.domains.domain_catalogue import get_domain
from agent0.errors import UsageError, reason_of
from agent0.tools import tool_rules
from agent0.types import Condition

if TYPE_CHECKING:
    from agent0.config import PromptSettings, RolloutSettings

PLAIN_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] }}\n\n"
    "{% else %}{{ message['role'] | capitalize }}: {{ message['content'] }}\n\n{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)
"""A conversation as plain text, for base models without a chat template."""
_GIVEN = {"messages", "tools", "documents", "add_generation_prompt", "raise_exception", "strftime_now"}
"""What a template is given in any case, and no option can be."""
UNCONDITIONED = Condition()
"""What a proposal is asked for in the paper: nothing but that it is one."""


@dataclass(frozen=True)
class Prompts:
    """The prompts of both agents under one configuration.

    Attributes:
        curriculum: messages that ask the curriculum agent for one task.
        executor: messages that ask the executor; `{question}` stands for the task.
        plain: chat template of a tokenizer that has none.
        options: what the chat template is given beside the messages, such as `enable_thinking`.
        topic: what `curriculum` goes on with for a topic; see `PromptSet`.
        examples: what it goes on with for examples.
        teacher: messages that ask a model elsewhere for one task, in the curriculum agent's place.
        posed: what the executor is told of a question; see `Domain`.
    """

    curriculum: tuple[Message, ...]
    executor: tuple[Message, ...]
    plain: str = PLAIN_TEMPLATE
    options: Mapping[str, bool | int | float | str] = field(default_factory=dict)
    topic: str = ""
    examples: str = ""
    teacher: tuple[Message, ...] = ()
    posed: Callable[[str], str] = str

    def propose(self, condition: Condition = UNCONDITIONED) -> list[Message]:
        """Messages that ask the curriculum agent for one task, of a topic and by examples where those are given."""
        return self._asked(self.curriculum, condition)

    def teach(self, condition: Condition = UNCONDITIONED, failed: str = "") -> list[Message]:
        """Messages that ask a teacher for one task; `failed` says at which tasks the executor did."""
        *before, last = self._asked(self.teacher, condition)
        return [*before, {**last, "content": last["content"] + failed}]

    def _asked(self, messages: Sequence[Message], condition: Condition) -> list[Message]:
        *before, last = messages
        more = self.topic.replace(TOPIC_FIELD, condition.topic) if condition.topic else ""
        if condition.examples:
            listed = "\n".join("- " + question.strip().replace("\n", "\n  ") for question in condition.examples)
            more += self.examples.replace(EXAMPLES_FIELD, listed)
        return [*map(dict, before), {**last, "content": last["content"] + more}]

    def fitted(self, tokenizer: Any, condition: Condition, room: int) -> Condition:
        """Return `condition` with as many of its examples as a prompt of `room` tokens holds."""
        kept = condition.examples
        while kept and len(self.encode(tokenizer, self.propose(condition))) > room:
            kept = kept[:-1]
            condition = condition.model_copy(update={"examples": kept})
        return condition

    def solve(self, question: str) -> list[Message]:
        """Messages that ask the executor agent to solve `question`."""
        told = self.posed(question)
        return [{**message, "content": message["content"].replace(QUESTION_FIELD, told)} for message in self.executor]

    def render(self, tokenizer: Any, messages: Sequence[Message]) -> str:
        """Return `messages` as the model's text, up to where the assistant begins.

        A template that refuses or drops the system's turn gets it at the head of the first user turn, as the authors
        of such models do.

        Raises:
            UsageError: the template cannot render the turns, or leaves one out; or it does not read an option.
        """
        turns = list(messages)
        for attempt in (turns, _merged(turns)):
            try:
                self._check_options(tokenizer)
                text = self._apply(tokenizer, attempt)
            except UsageError:
                raise
            except Exception as error:  # a template is a program of the model's author
                reason = reason_of(error)
                continue
            lost = [message["role"] for message in attempt if message["content"].strip() not in text]
            if not lost:
                return text
            reason = f"it leaves out the {lost[0]}'s turn"
        raise UsageError(
            f"The tokenizer's chat template cannot render the prompt: {reason}. Change the prompts or the options of "
            "the template (rollout.prompts), or save another template as chat_template.jinja with the model."
        )

    def encode(self, tokenizer: Any, messages: Sequence[Message]) -> list[int]:
        """Return `messages` as token ids, up to where the assistant begins; see `render`."""
        token_ids: list[int] = tokenizer(self.render(tokenizer, messages), add_special_tokens=False).input_ids
        return token_ids

    def _check_options(self, tokenizer: Any) -> None:
        """Raise where an option is one that the template does not read, and would be ignored."""
        if not self.options:
            return
        known = _read_by(self._template(tokenizer))
        for name in self.options:
            if name not in known:
                raise UsageError(
                    f"The chat template does not read the option {name!r} (rollout.prompts.template_options); leave it "
                    f"out, or take one that it reads: {', '.join(sorted(known)) or 'there is none'}."
                )

    def _template(self, tokenizer: Any) -> str:
        """Return the tokenizer's own chat template, or the domain's where it has none."""
        return str(tokenizer.get_chat_template()) if getattr(tokenizer, "chat_template", None) else self.plain

    def _apply(self, tokenizer: Any, messages: list[Message]) -> str:
        text: str = tokenizer.apply_chat_template(
            messages,
            chat_template=self._template(tokenizer),
            add_generation_prompt=True,
            tokenize=False,
            **self.options,
        )
        return text


def get_prompts(rollout: RolloutSettings) -> Prompts:
    """Return the prompts of both agents; one that has no tool under these settings is not told of it.

    Raises:
        UsageError: there is no such domain, or it has no such variant.
    """
    domain, settings = get_domain(rollout.domain), rollout.prompts
    chosen = domain.prompts
    if settings.variant:
        if settings.variant not in domain.variants:
            raise UsageError(
                f"The domain {rollout.domain} has no prompts {settings.variant!r} (rollout.prompts.variant); it has "
                f"{', '.join(sorted(domain.variants)) or 'one set only'}."
            )
        chosen = domain.variants[settings.variant]
    chosen = PromptSet(
        curriculum=_replaced(chosen.curriculum, [m.model_dump() for m in settings.curriculum]),
        executor=_replaced(chosen.executor, [m.model_dump() for m in settings.executor]),
        tool=tool_rules(rollout.tools, chosen.tool),
        plain=settings.plain or chosen.plain,
        topic=chosen.topic,
        examples=chosen.examples,
        teacher=None if settings.curriculum else chosen.teacher,
    )
    return Prompts(
        curriculum=_messages(chosen.curriculum, chosen.tool, rollout.for_proposer(), settings),
        executor=_messages(chosen.executor, chosen.tool, rollout, settings),
        plain=chosen.plain or PLAIN_TEMPLATE,
        options=dict(settings.template_options),
        topic=chosen.topic,
        examples=chosen.examples,
        teacher=_messages(
            chosen.teacher or chosen.curriculum, "", rollout.model_copy(update={"max_turns": 0}), settings
        ),
        posed=domain.posed,
    )


@cache
def _read_by(template: str) -> frozenset[str]:
    """Return the names of the options that a template reads."""
    from jinja2 import meta

    return frozenset(meta.find_undeclared_variables(parsed_template(template)) - _GIVEN)


def _replaced(prompt: AgentPrompt, messages: list[Message]) -> AgentPrompt:
    """Return a prompt with the configuration's turns, if there are any; its worked examples stay the domain's."""
    return AgentPrompt(tuple(messages), prompt.worked) if messages else prompt


def _messages(
    prompt: AgentPrompt, tool: str, rollout: RolloutSettings, settings: PromptSettings
) -> tuple[Message, ...]:
    """Return the turns of a prompt with the rules of the tools filled in, or left out with the space before them."""
    rules = tool if rollout.has_tool else ""
    filled = [{**message, "content": _with_rules(message["content"], rules)} for message in prompt.messages]
    shown = prompt.worked if settings.worked and rollout.has_python else ()
    return (*filled[:-1], *shown, *filled[-1:])


def _with_rules(content: str, rules: str) -> str:
    if rules or TOOL_FIELD not in content:
        return content.replace(TOOL_FIELD, rules)
    return content.replace(f" {TOOL_FIELD}", "").replace(TOOL_FIELD, "").strip()


def _merged(messages: list[Message]) -> list[Message]:
    """Put the system's turn before the first user turn's text."""
    if len(messages) < 2 or messages[0]["role"] != "system":
        return messages
    first = {**messages[1], "content": f"{messages[0]['content']}\n\n{messages[1]['content']}"}
    return [first, *messages[2:]]
