"""A benchmark in words, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from agent0.benchmarks.spec import PRESETS, Benchmark, Decoding, Protocol


def description(benchmark: Benchmark) -> str:
    """Return what a person must know to trust a number of this benchmark."""
    return "\n".join(_lines(benchmark))


def _lines(benchmark: Benchmark) -> Iterator[str]:
    data = benchmark.dataset
    yield f"{benchmark.title} ({benchmark.name}), {benchmark.family}"
    if data.hub_id:
        configurations = f", configurations {', '.join(data.configurations)}" if data.configurations else ""
        yield f"  data      {data.hub_id}, split {data.split}{configurations}"
        yield f"  revision  {data.revision or 'unknown; the manifest of a fetch pins it'}"
        yield f"  hash      {data.sha256 or 'unknown; the manifest of a fetch pins it'}"
    else:
        yield f"  data      generated here by {data.generator} from seed {data.seed}"
    groups = f", {benchmark.per_group} of each {benchmark.breakdowns[0]}" if benchmark.per_group else ""
    yield f"  rows      {data.rows}{groups}"
    if data.columns:
        yield from _file(benchmark)
    yield f"  licence   {data.licence}"
    for note in benchmark.notes:
        yield f"  note      {note}"
    for preset in PRESETS:
        yield f"\npreset {preset}"
        yield from _protocol(benchmark.protocols[preset])


def _file(benchmark: Benchmark) -> Iterator[str]:
    data = benchmark.dataset
    columns = (" or ".join(names) + (" (may lack)" if r in data.optional else "") for r, names in data.columns.items())
    yield f"  columns   {', '.join(columns)}"
    yield f"  file      {benchmark.name}.jsonl (or .parquet, .csv)" + (
        f", and {benchmark.name}.shots.jsonl" if data.shots_split else ""
    )


def _protocol(protocol: Protocol) -> Iterator[str]:
    if protocol.prompt.system:
        yield f"  system    {protocol.prompt.system!r}"
    yield f"  {'user' if protocol.prompt.chat else 'text':8}  {protocol.prompt.user!r}"
    if protocol.prompt.shots:
        limit = protocol.prompt.prompt_limit
        fewer = f", fewer where the prompt would have {limit} tokens or more" if limit else ""
        yield f"  shots     {protocol.prompt.shots}{fewer}, each {protocol.prompt.shot!r}"
    yield f"  decoding  {_decoding(protocol.decoding)}"
    yield f"  rule      {protocol.rule.source}"
    for name, rule in protocol.others.items():
        yield f"  beside    {name}: {rule.source}"
    if protocol.guessing:
        yield "  beside    with guessing: the expected score of a random draw for answers that are missing"
    yield f"  headline  {'mean over items' if protocol.aggregation == 'micro' else 'harmonic mean over tasks'}"
    for note in protocol.notes:
        yield f"  note      {note}"


def _decoding(decoding: Decoding) -> str:
    kind = "greedy" if decoding.temperature == 0 else f"temperature {decoding.temperature:g}, top-p {decoding.top_p:g}"
    parts = [kind, f"{decoding.samples} sample{'s' * (decoding.samples > 1)}", f"{decoding.max_tokens} tokens"]
    if decoding.top_k > 0:
        parts.append(f"top-k {decoding.top_k}")
    if decoding.stop:
        parts.append(f"stop at {', '.join(map(repr, decoding.stop))}")
    return ", ".join(parts)
