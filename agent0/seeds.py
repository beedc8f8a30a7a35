"""Seeds: every stage derives its own from the evolution's, so that no two stages share a stream."""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, *path: str | int) -> int:
    """Return a seed in [0, 2**31) that depends on `seed` and on each part of `path`."""
    digest = hashlib.sha256("/".join(map(str, (seed, *path))).encode()).digest()
    return int.from_bytes(digest[:4], "big") % 2**31
