"""What does each part of the method add? Runs it whole, with parts left out and with gates, over paired seeds.

    python bench/ablation.py --world tiny --seeds 5 --output runs/ablation-tiny [--minutes 60] [--check]
    python bench/ablation.py --world words --seeds 3 --variants full,no-curriculum-training,no-tool-reward
    python bench/ablation.py --world tiny --records FOLDER --minutes 0

A variant's difference to the full method is taken seed by seed, with a 95 % t interval over seeds and the p-value of
the paired t test, corrected by Holm's method for the number of variants. Printed, and written to the output folder as
`ablation.md` and `ablation.json`; what is not decided is said. The worlds are small: a part that adds nothing here
may matter elsewhere. Each run that ended leaves a small record in --records and is not run again where that is there,
so that a table can grow over days and machines (--minutes 0 prints it and runs nothing); one that was interrupted
goes on where it stopped. With --minutes no run begins later than that, and what is missing is said. With --check it
exits with 1 if a run is missing or failed, or a switch did not act; it never judges which variant is better. Where a
teacher proposes, it is a program (`teacher_server.py`) unless --teacher names an endpoint and its model.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from ablation_record import read_record
from ablation_runs import Run, begin_warm, find_problems, run_variant
from ablation_table import markdown, rows, sentences, terminal
from ablation_variants import BASELINES, PROGRAM, WORLDS, Variant, overrides, variants_of
from rich.console import Console
from teacher_server import teaching

from agent0.ablations import FULL
from agent0.config import load_config
from agent0.storage.atomic_file import write_json
from agent0.storage.digest import code_version

TABLE_WIDTH = 130


def main() -> int:
    """Run, print, and check if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", choices=WORLDS, default="tiny", help="the embedded model, or a language model")
    parser.add_argument("--seeds", type=int, default=3, help="evolutions of each variant, with seeds 0, 1, ...")
    parser.add_argument("--processes", type=int, default=1, help="evolutions to run side by side")
    parser.add_argument("--minutes", type=float, help="begin no run later than this")
    parser.add_argument("--variants", help="comma-separated; all that the world has, if not given")
    parser.add_argument("--teacher", nargs=2, metavar=("URL", "MODEL"), default=PROGRAM, help="who teaches")
    parser.add_argument("--output", type=Path, help="folder that keeps the runs; runs/ablation-WORLD if not given")
    parser.add_argument(
        "--records", type=Path, help="folder that keeps their records; `records` in --output if not given"
    )
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.FIELD=VALUE", help="override a setting")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a run failed or a switch did not act")
    arguments = parser.parse_args()
    world = WORLDS[arguments.world]
    known = variants_of(world)
    absent = [name for name in BASELINES if name not in known]
    chosen = arguments.variants.split(",") if arguments.variants else list(known)
    unknown = [name for name in chosen if name not in known]
    if unknown:
        parser.error(f"there is no variant {', '.join(unknown)}; there are: {', '.join(known)}")
    if arguments.seeds < 2:
        parser.error("an interval needs at least two seeds")
    variants = {name: variant for name, variant in known.items() if name in (FULL, *chosen)}
    folder: Path = arguments.output or Path("runs") / f"ablation-{arguments.world}"
    runs = all_runs(folder, arguments, variants)
    found = rows(runs, variants, arguments.seeds)
    missing = [f"{run.variant} seed {run.seed}" for run in runs if run.record is None and not run.failure]
    said = list(sentences(found))
    if absent:
        said.append(f"This world has no {', '.join(absent)}: its model cannot be run with that, or there is no recipe.")
    if missing:
        said.append(f"Not run, {len(missing)} of {len(runs)}: {', '.join(missing)}.")
    starved = [run for run in runs if run.failure and run.variant in world.starving]
    said += [f"{run.variant}, seed {run.seed}, left too little to train on: {run.failure}" for run in starved]
    problems = list(find_problems([run for run in runs if run not in starved], variants))
    console = Console(width=max(TABLE_WIDTH, Console().width), markup=False, highlight=False)
    console.print(terminal(found, world.title))
    for sentence in (*said, *problems):
        console.print(sentence, soft_wrap=True)
    (folder / "ablation.md").write_text(markdown(found, world.title, [*said, *problems]), encoding="utf-8")
    record = {"world": arguments.world, "settings": arguments.set, "code_version": code_version()}
    write_json(folder / "ablation.json", {**record, "rows": [asdict(row) for row in found], "said": [*said, *problems]})
    failed = bool(missing or problems)
    console.print("check (every run ended, every switch acted): " + ("failed" if failed else "passed"))
    return int(arguments.check and failed)


def all_runs(folder: Path, arguments: argparse.Namespace, variants: Mapping[str, Variant]) -> list[Run]:
    """Run what has no record, until the time is over; seed by seed, so that an interrupted ablation has whole pairs."""
    world, began = WORLDS[arguments.world], time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    records: Path = arguments.records or folder / "records"
    settings = {name: overrides(world, variant, arguments.set, arguments.teacher) for name, variant in variants.items()}
    for name, variant in variants.items():  # what cannot be run is told before an hour has gone by
        load_config(variant.recipe or world.recipe, settings[name], variant.ablations)

    def is_late() -> bool:
        return arguments.minutes is not None and time.monotonic() - began >= 60 * arguments.minutes

    planned = [
        Run(name, seed, read_record(records / f"{name}-seed-{seed}.json", settings[name]))
        for seed, name in itertools.product(range(arguments.seeds), variants)
    ]
    starts = {
        name: begin_warm(folder, world, variants[name], arguments.set) if world.warm_start and not is_late() else []
        for name in dict.fromkeys(run.variant for run in planned if run.record is None)
    }

    def run(asked: Run) -> Run:
        if asked.record or is_late():
            return asked
        name, variant = f"{asked.variant}-seed-{asked.seed}", variants[asked.variant]
        recipe, own, start = variant.recipe or world.recipe, settings[asked.variant], starts[asked.variant]
        return run_variant(folder / name, records / f"{name}.json", asked, variant, recipe, own, start)

    domain = load_config(world.recipe).rollout.domain
    with teaching(domain, PROGRAM[0]), ThreadPoolExecutor(arguments.processes) as pool:
        return list(pool.map(run, planned))


if __name__ == "__main__":
    sys.exit(main())
