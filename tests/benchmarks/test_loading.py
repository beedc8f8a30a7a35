from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from agent0.benchmarks.catalogue import BENCHMARKS, benchmark
from agent0.benchmarks.hub_rows import HubRows
from agent0.benchmarks.loading import load_benchmark, load_items, load_shots, shots_for
from agent0.benchmarks.mirror import mirror
from agent0.benchmarks.spec import Benchmark, BenchmarkError, Dataset, content_hash
from agent0.storage import transfer
from agent0.storage.text_files import UnreadableError

AIME_ROWS = [{"id": n, "problem": f"What is {n}?", "answer": f"{n:03}"} for n in range(30)]
CHOICE = {
    "question_id": 1,
    "question": "Which?",
    "options": ["x", "y", "N/A"],
    "answer": "B",
    "answer_index": 1,
    "category": "law",
    "cot_content": "A: Let's think step by step. The answer is (B).",
}


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def of_size(name: str, rows: int) -> Benchmark:
    entry = benchmark(name)
    return replace(entry, dataset=replace(entry.dataset, rows=rows))


def test_padded_golds_become_integers_in_every_format(tmp_path: Path) -> None:
    entry = benchmark("aime_2024")
    lines = write(tmp_path / "aime.jsonl", AIME_ROWS)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(AIME_ROWS), tmp_path / "aime.parquet")
    with (tmp_path / "aime.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "problem", "answer"])
        writer.writeheader()
        writer.writerows(AIME_ROWS)
    items = load_items(entry, lines)
    assert [item.gold for item in items[:3]] == ["0", "1", "2"]
    assert items == load_items(entry, str(tmp_path / "aime.parquet")) == load_items(entry, str(tmp_path / "aime.csv"))


@pytest.mark.parametrize(
    ("name", "row", "gold"),
    [
        ("amc_2023", {"question": "q", "answer": 27.0}, "27"),
        ("gsm8k", {"question": "q", "answer": "so\n#### 2,125"}, "2125"),
        ("math_500", {"problem": "q", "answer": "\\frac{1}{2}", "level": 5}, "\\frac{1}{2}"),
        ("math", {"problem": "q", "solution": "thus $\\boxed{x^2}$", "level": "Level 5"}, "x^2"),
        ("olympiad", {"question": "q", "final_answer": ["1,2", "3"]}, "1,2"),
        ("olympiad", {"question": "q", "final_answer": "['1,2']"}, "1,2"),
        ("bbeh", {"task": "bbeh_linguini", "input": "q", "target": "Na lu."}, "Na lu."),
        ("bbeh", {"task": "linguini", "question": "q", "answer": "Na lu."}, "Na lu."),
        ("mmlu_pro", CHOICE, "B"),
        ("tiny", {"question": "What is 2+3?", "answer": "5"}, "5"),
    ],
)
def test_a_row_becomes_an_item(name: str, row: dict[str, Any], gold: str, tmp_path: Path) -> None:
    [item] = load_items(of_size(name, 1), write(tmp_path / "rows.jsonl", [row]), partial=True)
    assert item.gold == gold


def test_options_that_are_not_available_are_dropped(tmp_path: Path) -> None:
    [item] = load_items(of_size("mmlu_pro", 1), write(tmp_path / "rows.jsonl", [CHOICE]))
    assert item.options == ("x", "y")


def test_equal_inputs_with_other_targets_and_exact_duplicates_keep_ids_of_their_own(tmp_path: Path) -> None:
    rows = [{"task": "linguini", "input": "q", "target": target} for target in ("a", "b", "b")]
    items = load_items(of_size("bbeh", 3), write(tmp_path / "rows.jsonl", rows))
    assert len({item.id for item in items}) == 3
    assert items[2].id == f"{items[1].id}#2"


def test_the_mini_set_is_chosen_from_the_whole(tmp_path: Path) -> None:
    rows = [{"task": "t", "input": f"q{n}", "target": "a", "mini": n % 2 == 0} for n in range(4)]
    assert len(load_items(of_size("bbeh_mini", 2), write(tmp_path / "rows.jsonl", rows))) == 2


@pytest.mark.parametrize(
    ("name", "row", "message"),
    [
        ("aime_2024", {"problem": "q", "answer": "1000"}, "no integer from 0 to 999"),
        ("aime_2024", {"problem": "q", "answer": "2.5"}, "no integer from 0 to 999"),
        ("aime_2024", {"question": "q", "answer": "2"}, "nothing in a column problem or Problem"),
        ("amc_2023", {"question": "q", "answer": "x"}, "no number"),
        ("gsm8k", {"question": "q", "answer": "18"}, "no '#### number'"),
        ("math", {"problem": "q", "solution": "no box"}, "no answer"),
        ("olympiad", {"question": "q", "final_answer": []}, "no entry"),
        ("bbeh", {"task": "t", "input": "q", "target": " "}, "blank"),
        ("mmlu_pro", {**CHOICE, "answer": "C", "answer_index": 2}, "no letter from A to B"),
        ("mmlu_pro", {**CHOICE, "answer_index": 0}, "not the option at answer_index 0"),
        ("mmlu_pro", {**CHOICE, "options": ["only one"]}, "1 options"),
        ("mmlu_pro", {**CHOICE, "options": [1, 2]}, "no list of texts"),
        ("tiny", {"question": "What is 2+3?", "answer": "6"}, "value is '5'"),
    ],
)
def test_a_row_that_is_not_the_benchmarks_is_an_error_with_its_number(
    name: str, row: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(BenchmarkError, match=r"Row 1 of .*rows\.jsonl") as failure:
        load_items(benchmark(name), write(tmp_path / "rows.jsonl", [row]), partial=True)
    assert message in str(failure.value)


def test_a_missing_file_says_which_to_put_where(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError) as failure:
        load_items(benchmark("math_500"), str(tmp_path))
    assert "put math_500.jsonl" in str(failure.value)
    assert "columns problem" in str(failure.value)
    assert f"agent0 benchmarks fetch math_500 --to {tmp_path}" in str(failure.value)


def test_another_number_of_rows_is_an_error_unless_it_is_a_sample(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.jsonl", AIME_ROWS[:3])
    with pytest.raises(BenchmarkError, match="3 rows where 30 are published"):
        load_items(benchmark("aime_2024"), source)
    assert len(load_items(benchmark("aime_2024"), source, partial=True)) == 3


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.jsonl", b"{broken", "Line 1 of"),
        ("rows.jsonl", b"[1]\n", "no JSON object"),
        ("rows.jsonl", b"\xff\xfe", "UTF-8"),
        ("rows.jsonl", b"", "no rows"),
        ("rows.parquet", b"PAR1", "no whole Parquet"),
        ("rows.csv", b'"open', "no CSV"),
    ],
)
def test_a_broken_file_is_an_error_in_words(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises((BenchmarkError, UnreadableError), match=message):
        load_items(benchmark("aime_2024"), str(tmp_path / name))


def hub(dataset: Dataset, *, shots: bool = False) -> HubRows:
    return HubRows([CHOICE | {"question_id": n} for n in range(2 if shots else 3)], "commit")


def unpinned() -> Benchmark:
    entry = of_size("mmlu_pro", 3)
    return replace(entry, dataset=replace(entry.dataset, revision=None))


def test_a_mirror_is_read_back_with_its_shots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = mirror(unpinned(), str(tmp_path), hub)
    monkeypatch.setenv("AGENT0_BENCHMARKS", str(tmp_path))
    items = load_items(unpinned())
    shots = load_shots(unpinned())
    assert (manifest.rows, manifest.sha256, manifest.revision) == (3, content_hash(items), "commit")
    assert shots_for(items[0], shots, "category", 5) == shots
    assert shots[0].solution.startswith("Let's think")


def test_a_changed_row_of_a_mirror_is_noticed(tmp_path: Path) -> None:
    mirror(unpinned(), str(tmp_path), hub)
    path = tmp_path / "mmlu_pro.jsonl"
    path.write_text(path.read_text().replace('"x"', '"z"', 1))
    with pytest.raises(BenchmarkError, match="content hash"):
        load_items(unpinned(), str(tmp_path))


def test_a_mirror_of_another_revision_is_noticed(tmp_path: Path) -> None:
    mirror(unpinned(), str(tmp_path), hub)
    with pytest.raises(BenchmarkError, match="fetched at revision commit"):
        load_items(of_size("mmlu_pro", 3), str(tmp_path))


def test_the_revision_is_the_one_that_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror(unpinned(), str(tmp_path), hub)
    assert load_benchmark(unpinned(), str(tmp_path)).revision == "commit"
    assert load_benchmark(unpinned(), str(tmp_path / "mmlu_pro.jsonl")).revision is None
    pinned = of_size("mmlu_pro", 3)
    assert pinned.dataset.revision
    assert load_benchmark(pinned, write(tmp_path / "made.jsonl", [CHOICE] * 3)).revision is None
    assert load_benchmark(benchmark("tiny")).revision is None
    monkeypatch.setattr(
        "agent0.benchmarks.hub_rows.fetch_rows",
        lambda dataset, shots: HubRows(hub(dataset).rows, dataset.revision or "newest"),
    )
    assert load_benchmark(pinned, "hub").revision == pinned.dataset.revision
    assert load_benchmark(unpinned(), "hub").revision == "newest"


def test_rows_that_are_not_what_the_manifest_says_have_no_revision(tmp_path: Path) -> None:
    mirror(unpinned(), str(tmp_path), hub)
    write(tmp_path / "mmlu_pro.jsonl", [CHOICE])
    assert load_benchmark(unpinned(), str(tmp_path), partial=True).revision is None


def test_a_hub_that_changed_is_not_mirrored(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="gives 3 rows, where 12032 are published"):
        mirror(benchmark("mmlu_pro"), str(tmp_path), hub)
    assert list(tmp_path.iterdir()) == []


def test_a_hub_out_of_reach_is_an_error_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def unreachable(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", unreachable)
    monkeypatch.delenv("AGENT0_BENCHMARKS", raising=False)
    told = r"did not give zwhe99.*no route to host.*put minerva\.jsonl .* columns problem, answer or solution into"
    with pytest.raises(BenchmarkError, match=told):
        load_items(benchmark("minerva"))


def test_the_tiny_world_is_generated_and_pinned() -> None:
    items = load_items(benchmark("tiny"))
    assert len(items) == 200
    assert content_hash(items) == benchmark("tiny").dataset.sha256


def test_every_benchmark_has_both_presets_and_a_name_of_its_own() -> None:
    assert len({entry.name for entry in BENCHMARKS}) == len(BENCHMARKS) == 13
    for entry in BENCHMARKS:
        assert set(entry.protocols) == set(entry.echo) == {"paper", "official"}
        assert set(entry.dataset.optional) <= set(entry.dataset.columns)


def test_rows_in_a_store_are_copied_here_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror(unpinned(), str(tmp_path), hub)
    asked = []

    def get(uri: str, target: Path) -> None:
        asked.append(uri)
        target.write_bytes((tmp_path / uri.removeprefix("s3://data/sets/")).read_bytes())

    monkeypatch.setattr(transfer, "entries", lambda uri: sorted(path.name for path in tmp_path.iterdir()))
    monkeypatch.setattr(transfer, "get", get)
    assert len(load_items(unpinned(), "s3://data/sets/")) == 3
    assert asked == ["s3://data/sets/mmlu_pro.jsonl", "s3://data/sets/mmlu_pro.manifest.json"]
    assert len(load_items(unpinned(), "s3://data/sets/mmlu_pro.jsonl")) == 3
