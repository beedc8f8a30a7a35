"""Kinds of tasks. Everything that one is lies in one module: prompts, rules of a question, truth, tasks by a program.

`get_domain` finds one by name: an entry point of the group `agent0.domains` of any installed package, or
`package.module:NAME`. Nothing outside this package knows the name of a domain.
"""

from agent0.domains.demonstrations import Demonstration, Segment, demonstrate, use_tool
from agent0.domains.domain import AgentPrompt, Domain, Message, PromptSet, WorkedTask, in_reserved_fifth
from agent0.domains.domain_catalogue import domain_names, get_domain, task_writer
from agent0.domains.prompts import UNCONDITIONED, Prompts, get_prompts
from agent0.domains.verification import Examined, Verifier, accept_all, examine_all, settle_all, settled

__all__ = [
    "UNCONDITIONED",
    "AgentPrompt",
    "Demonstration",
    "Domain",
    "Examined",
    "Message",
    "PromptSet",
    "Prompts",
    "Segment",
    "Verifier",
    "WorkedTask",
    "accept_all",
    "demonstrate",
    "domain_names",
    "examine_all",
    "get_domain",
    "get_prompts",
    "in_reserved_fifth",
    "settle_all",
    "settled",
    "task_writer",
    "use_tool",
]
