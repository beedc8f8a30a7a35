"""Seeds: every stage derives its own from the evolution's, so that no two stages share a stream."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
SEED_LIMIT = 2**31
"""Seeds are below it."""


def derive_seed(seed: int, *path: str | int) -> int:
    """Return a seed in [0, SEED_LIMIT) that depends on `seed` and on each part of `path`."""
    digest = hashlib.sha256("/".join(map(str, (seed, *path))).encode()).digest()
    return int.from_bytes(digest[:4], "big") % SEED_LIMIT


def sampled(items: Sequence[T], most: int, seed: int) -> list[T]:
    """Return `most` of `items` in a random order, or all of them where they are fewer."""
    return random.Random(seed).sample(items, min(most, len(items)))
