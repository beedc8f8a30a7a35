"""What benchmarks share whose questions are made here: nobody publishes rows, and they are asked as agents train."""

from __future__ import annotations

from collections.abc import Callable

from agent0.benchmarks.spec import (
    QUESTION_SEED,
    Ballot,
    Benchmark,
    Dataset,
    Decoding,
    Item,
    Prompt,
    Protocol,
    Row,
    Rule,
    boxed_gold,
)

PER_GROUP = 40
"""Questions of each group where an evaluation does not say how many."""
_NOTE = "Asked with the agents' prompts, budget and sampling, under every preset; what stands here is not used."


def generated_benchmark(
    *,
    name: str,
    title: str,
    family: str,
    split: str,
    licence: str,
    generator: str,
    groups: int,
    breakdown: str,
    rule: Rule,
    vote: Ballot,
    generate: Callable[[int], list[Item]],
    probes: Callable[[int], list[Item]],
    notes: tuple[str, ...] = (),
) -> Benchmark:
    """Return a benchmark of `groups` kinds of questions, told apart by `breakdown`; see `Benchmark` for the rest."""
    protocol = Protocol(
        Prompt("{question}"),
        Decoding(max_tokens=160, samples=4, temperature=1.0),
        rule,
        notes=(_NOTE,),
    )
    return Benchmark(
        name=name,
        title=title,
        family=family,
        dataset=Dataset(
            hub_id="",
            split=split,
            rows=PER_GROUP * groups,
            columns={},
            licence=licence,
            generator=generator,
            seed=QUESTION_SEED,
        ),
        read=_read,
        protocols={"paper": protocol, "official": protocol},
        echo={"paper": boxed_gold, "official": boxed_gold},
        breakdowns=(breakdown,),
        vote=vote,
        generate=generate,
        per_group=PER_GROUP,
        probes=probes,
        notes=notes,
    )


def _read(row: Row) -> Item:
    raise ValueError("the questions of this benchmark are made here, never read")
