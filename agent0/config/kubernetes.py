"""Words that Kubernetes takes: names of queues, keys and values of labels, quantities of a resource."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

_PART = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_DOMAIN = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"
_KEY = re.compile(rf"({_DOMAIN}/)?{_PART}")
_VALUE = re.compile(rf"({_PART})?")
_QUEUE = re.compile(r"([a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?)?")
_QUANTITY = re.compile(r"\+?(\d+(\.\d*)?|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?")


def _key(text: str) -> str:
    if not _KEY.fullmatch(text):
        raise ValueError(
            f"{text!r} is no key of a label; write NAME or DOMAIN/NAME, such as example.com/team, the name being of at "
            "most 63 letters, digits, '-', '_' and '.'"
        )
    return text


def _value(text: str) -> str:
    if not _VALUE.fullmatch(text):
        raise ValueError(
            f"{text!r} is no value of a label, which has at most 63 letters, digits, '-', '_' and '.' and begins and "
            "ends with a letter or digit"
        )
    return text


def _queue(text: str) -> str:
    if not _QUEUE.fullmatch(text):
        raise ValueError(
            f"{text!r} cannot be a Kueue LocalQueue's name, which has at most 63 small letters, digits, '-' and '.'; "
            "`kubectl get localqueues` shows those of a namespace"
        )
    return text


def _quantity(text: str) -> str:
    if not _QUANTITY.fullmatch(text):
        raise ValueError(f"{text!r} is no quantity of Kubernetes; write such as '8', '500m' or '576Gi'")
    return text


LabelKey = Annotated[str, AfterValidator(_key)]
"""Key of a label or an annotation."""
LabelValue = Annotated[str, AfterValidator(_value)]
QueueName = Annotated[str, AfterValidator(_queue)]
"""Name of a Kueue LocalQueue, or empty for none."""
Quantity = Annotated[str, AfterValidator(_quantity)]
"""Amount of a resource."""
