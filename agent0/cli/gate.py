"""`agent0 gate CANDIDATE CHAMPION`: does a candidate replace the champion?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from agent0.cli.screen import Table, show_json
from agent0.cli.shared_options import AsJson
from agent0.errors import UsageError
from agent0.seeds import SEED_LIMIT

if TYPE_CHECKING:
    from agent0.promotion.claims import Run
    from agent0.promotion.gate import GateDecision

KEEP_EXIT_CODE = 3  # told apart from 1 (failed) and 2 (wrong use)


def gate(
    candidate: Annotated[str, typer.Argument(help="Output folder of `agent0 evaluate`, local or s3://.")],
    champion: Annotated[str, typer.Argument(help="The same of the model that it would replace.")],
    significance: Annotated[
        float | None, typer.Option(help="Of the tests, after the correction for the benchmarks. Default: 0.05.")
    ] = None,
    minimum_gain: Annotated[
        float | None, typer.Option(help="Least gain on average, as a share of 1. Default: 0.")
    ] = None,
    allowed_loss: Annotated[
        list[str] | None,
        typer.Option(help="Loss that does not block: SHARE, or BENCHMARK=SHARE, several times. Default: 0.01."),
    ] = None,
    draws: Annotated[
        int | None, typer.Option(help="Draws of the bootstrap, and of sign flips. Default: 10000.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=SEED_LIMIT - 1, help="Seed of these draws.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Decide whether a candidate replaces the champion. Exits with 0 to promote it and with 3 to keep the champion.

    Example: [bold]agent0 gate runs/iteration-3 runs/champion --allowed-loss gsm8k=0.02[/bold]
    """
    from agent0.config import GateSettings, parse_section
    from agent0.consistency import check_gate
    from agent0.evaluation.results import read_report
    from agent0.promotion.claims import Run
    from agent0.promotion.decision import decide_between, decision_record

    given = {"significance": significance, "minimum_gain": minimum_gain, "draws": draws}
    values = {name: value for name, value in given.items() if value is not None}
    settings = parse_section(GateSettings, {**values, **_losses(allowed_loss or [])})
    check_gate(settings)
    new, old = (Run(place, read_report(place)) for place in (candidate, champion))
    decision = decide_between(old, new, settings, seed=seed)
    if as_json:
        show_json(decision_record(decision, old, new, settings))
    else:
        decision_table(decision, old, new).show()
    raise typer.Exit(0 if decision.promoted else KEEP_EXIT_CODE)


def decision_table(decision: GateDecision, champion: Run, candidate: Run) -> Table:
    """Return the test of each benchmark, and the decision.

    Scores are plain means over the questions, in percent; p is that after the correction.
    """
    from agent0.report.intervals import gap_text

    numbers = ("n", "champion", "candidate", "difference, 95 %", "p")
    notes = (f"{decision.decision}: {decision.reason}",)
    table = Table("benchmark", *numbers, "test", right=numbers, spare=("test", "n"), notes=notes)
    for result in decision.results:
        old, new = (run.report.score_of(result.benchmark) for run in (champion, candidate))
        table.add(
            result.benchmark,
            f"{result.questions:,}",
            *("–" if score is None else f"{100 * score.mean_at_k.mean:.1f}" for score in (old, new)),
            gap_text(result.difference),
            f"{result.adjusted:.2g}",
            result.test,
        )
    return table


def _losses(options: list[str]) -> dict[str, object]:
    """Read `--allowed-loss`: one share for all, and shares of single benchmarks."""
    found: dict[str, object] = {}
    single: dict[str, float] = {}
    for option in options:
        name, _, text = option.rpartition("=")
        try:
            share = float(text)
        except ValueError:
            raise UsageError(f"--allowed-loss {option!r} is neither SHARE nor BENCHMARK=SHARE, such as 0.01.") from None
        if name:
            single[name] = share
        else:
            found["allowed_loss"] = share
    return {**found, "allowed_losses": single}
