"""Tables by the width that they are given, bars and the lines in their place, and what NO_COLOR leaves of both."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from agent0.cli import bars as module
from agent0.cli.bars import Bars
from agent0.cli.screen import Table, console
from agent0.cli.shared_options import SILENT
from agent0.progress import Drawing
from tests.support.terminal import on_a_terminal

PATH = "s3://bucket/evaluations/of-a-schedule/2026-01-31/evaluation.json"
COLUMNS = ("version", "aliases", "scores", "sha256", "place")


def table() -> Table:
    made = Table(*COLUMNS, right=("scores",), spare=("sha256", "aliases"), title="[models]", notes=("A note.",))
    made.add("12", "champion, candidate", Text("math_500 80.1", "green"), "abcdef012345", PATH)
    made.add("11", "nobody\npoints here", "–", "012345abcdef", "here")
    return made


def drawn(width: int, what: Table) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=width, color_system=None).print(what)
    return file.getvalue().splitlines()


@pytest.fixture(autouse=True)
def _without_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


def test_piped_values_are_whole_and_a_row_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    table().show()
    title, heads, first, second, note = capsys.readouterr().out.splitlines()
    assert (title, note) == ("[models]", "A note.")
    assert tuple(heads.split()) == COLUMNS
    assert first.split("  ")[-1].strip() == PATH
    assert "nobody  points here" in second
    assert not any(line.endswith(" ") for line in (heads, first, second))


@pytest.mark.parametrize("width", [100, 80, 60])
def test_a_narrow_window_cuts_no_word_and_says_which_columns_it_leaves_out(width: int) -> None:
    lines = drawn(width, table())
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    left_out = [name for name in COLUMNS if name not in lines[1]]
    assert (f"There is no room for {', '.join(left_out)};" in text) == bool(left_out)
    assert "math_500 80.1" in text
    for word in ("champion,", "candidate") if "aliases" not in left_out else ():
        assert word in text


def test_where_no_columns_fit_each_row_stands_as_lines_of_its_own() -> None:
    lines = drawn(30, table())
    assert max(map(len, lines)) <= 30
    assert [line.split()[0] for line in lines if line.split() and line.split()[0] in COLUMNS] == [*COLUMNS, *COLUMNS]


def test_a_table_without_rows_says_so_and_a_row_has_a_cell_for_each_column() -> None:
    assert drawn(80, Table("a")) == ["There are none."]
    with pytest.raises(ValueError, match="zip"):
        table().add("13")


def test_cells_are_never_markup() -> None:
    made = Table("a", "b")
    made.add("[red]x[/red]", "[/]")
    assert "[red]x[/red]  [/]" in drawn(80, made)


COLOURED = (
    "from rich.text import Text; from agent0.cli.screen import Table, console; from agent0.cli.bars import Bars\n"
    "t = Table('a'); t.add(Text('x', 'red')); t.show()\n"
    "with Bars(console()) as bars: bars.say('done', 'green', 'it'); bars.show('all', 1, 2, 'stages')"
)


@pytest.mark.parametrize("refused", [False, True])
def test_no_color_leaves_no_colour_on_a_terminal(refused: bool) -> None:
    shown = on_a_terminal("-c", COLOURED, **({"NO_COLOR": "1"} if refused else {}))
    colours = [code for code in ("\x1b[31m", "\x1b[32m") if code in shown]
    assert len(colours) == (0 if refused else 2)
    assert "1/2 stages" in shown


@pytest.mark.parametrize(
    "command",
    [
        "ablations",
        "domains",
        "benchmarks list",
        "pipeline options",
        "plan --recipe qwen3-8b --gpus 8xH200",
    ],
)
def test_a_command_keeps_to_the_window(command: str) -> None:
    shown = on_a_terminal("-m", "agent0", *command.split(), NO_COLOR="1")
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    assert any("───" in line for line in lines)
    assert max(map(cell_len, lines)) <= 80
    assert "…" not in shown


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    monkeypatch.setattr("agent0.progress.time", made)
    return made


def test_piped_drawing_is_told_in_tokens_with_rate_and_time_left(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with Bars(console(stderr=True)) as bars:
        drawing = Drawing(bars.of("gsm8k"), 100, "samples")
        for second in range(50):
            clock.now += 1
            drawing.drew(20)
            if second % 2:
                drawing.finished()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4  # one in ten seconds
    assert lines[-1] == "gsm8k: 20/100 samples  820 tokens, 20 tok/s, 2 min 44 s left"


def test_short_drawings_of_one_name_do_not_fill_a_pipe(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Bars(console(stderr=True)) as bars:
        for _ in range(6):
            drawing = Drawing(bars.of("training"), 2, "trajectories")
            for _ in range(2):
                clock.now += 2
                drawing.drew(50)
                drawing.finished()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("training: 2/2 trajectories")  # the end of the first, before ten seconds were over
    assert len(lines) == 3


def test_piped_transfers_are_told_in_bytes(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Bars(console(stderr=True)) as bars:
        show = bars.transfer("model 3")
        for done in range(0, 31):
            show(done * 1_000_000, 30_000_000)
            clock.now += 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "model 3: 10.0 MB/30.0 MB  1.0 MB/s, 20.0 s left"
    assert lines[-1] == "model 3: 30.0 MB/30.0 MB  1.0 MB/s"
    assert len(lines) == 3


@pytest.mark.parametrize("use", [lambda bars: bars.of("x").step(1, 2, "y", detail=""), lambda b: b.say("a", "", "b")])
def test_quiet_shows_warnings_only(use: Callable[[Bars], Any], capsys: pytest.CaptureFixture[str]) -> None:
    with Bars(console(stderr=True), quiet=True) as bars:
        use(bars)
        bars.of("gsm8k").warn("no room")
    assert capsys.readouterr().err == "gsm8k: warning: no room\n"


def test_quiet_silences_the_bars_of_other_libraries() -> None:
    code = (
        "import sys; from agent0.cli.shared_options import _quieten; _quieten(sys.argv[1] == 'quiet')\n"
        "import tqdm.auto, huggingface_hub.utils\n"
        "for bar in (tqdm.auto.tqdm, huggingface_hub.utils.tqdm): list(bar(range(3)))"
    )
    names = {name: value for name, value in os.environ.items() if name not in SILENT}
    told = [
        subprocess.run([sys.executable, "-c", code, how], capture_output=True, text=True, check=True, env=names).stderr
        for how in ("quiet", "told")
    ]
    assert told[0] == ""
    assert told[1].count("3/3") == 2
