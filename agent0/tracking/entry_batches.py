"""Entries of a journal in the groups that MLflow takes in one request, and the parts of such a group."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agent0.tracking.journal import Entry

MAX_POINTS = 1000
MAX_NAMES = 100
"""Most metrics, and most parameters or tags, that MLflow takes in one request; 1,000 in all."""
SMALL = ("metrics", "params", "tags")
NOUNS = {"metrics": "metric", "params": "parameter", "tags": "tag"}


def batches(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Group entries into requests, in order: neighbours of the same run that MLflow takes together."""
    batch: list[Entry] = []
    for entry in entries:
        if batch and not _fits(batch, entry):
            yield batch
            batch = []
        batch.append(entry)
    if batch:
        yield batch


def halves(batch: list[Entry]) -> list[list[Entry]]:
    """Divide a batch in two, at last the values of one entry; nothing where that cannot be divided."""
    if len(batch) > 1:
        middle = len(batch) // 2
        return [batch[:middle], batch[middle:]]
    values = list(batch[0]["values"].items()) if batch[0]["kind"] in SMALL else []
    if len(values) < 2:
        return []
    middle = len(values) // 2
    return [[{**batch[0], "values": dict(half)}] for half in (values[:middle], values[middle:])]


def named(entry: Entry) -> str:
    """Return what a person calls an entry, with its value where that is short."""
    if entry["kind"] in SMALL:
        [(name, value)] = entry["values"].items()
        step = f" at step {entry['step']}" if "step" in entry else ""
        return f"the {NOUNS[entry['kind']]} {name} = {value!s:.80}{step}"
    return f"the {entry['kind']} {entry.get('path') or entry.get('name') or ''}".rstrip()


def _fits(batch: list[Entry], entry: Entry) -> bool:
    together = [*batch, entry]
    if any(item["kind"] not in SMALL or item["run"] != entry["run"] for item in together):
        return False
    sizes = {kind: sum(len(item["values"]) for item in together if item["kind"] == kind) for kind in SMALL}
    return max(sizes["params"], sizes["tags"]) <= MAX_NAMES and sum(sizes.values()) <= MAX_POINTS
