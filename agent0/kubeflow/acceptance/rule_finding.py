"""What a rule has to say about a pipeline."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that would go wrong.

    Attributes:
        rule: name of the rule, such as `inputs-exist`.
        where: the task or setting that is meant.
        message: what is wrong and what to do, as sentences.
        fatal: whether the pipeline fails by it; else it is worth knowing.
    """

    rule: str
    where: str
    message: str
    fatal: bool = True

    def __str__(self) -> str:
        return f"{self.where}: {self.message} [{self.rule}]"
