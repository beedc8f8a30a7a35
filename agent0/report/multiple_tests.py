"""A correction for asking many questions at once: of twenty tests one finds something by chance."""

from __future__ import annotations

from collections.abc import Mapping

from agent0.errors import UsageError


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p-values adjusted for their number by Holm's step-down method, under the same names.

    Raises:
        UsageError: a value outside [0, 1].
    """
    if any(not 0 <= value <= 1 for value in p_values.values()):
        raise UsageError("P-values lie between 0 and 1.")
    adjusted: dict[str, float] = {}
    highest = 0.0
    for rank, name in enumerate(sorted(p_values, key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = highest
    return {name: adjusted[name] for name in p_values}
