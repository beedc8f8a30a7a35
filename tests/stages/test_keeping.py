from __future__ import annotations

import threading

import pytest

from agent0.stages.keeping import MOST_WAITING, kept_aside


def test_shards_are_kept_one_after_the_other_and_all_before_leaving() -> None:
    kept: list[int] = []
    with kept_aside() as keep:
        for number in range(7):
            keep(lambda number=number: kept.append(number))  # type: ignore[misc]
    assert kept == list(range(7))


def test_what_was_brought_is_kept_though_the_drawing_fails() -> None:
    kept: list[int] = []

    def draw() -> None:
        with kept_aside() as keep:
            keep(lambda: kept.append(1))
            raise KeyError

    with pytest.raises(KeyError):
        draw()
    assert kept == [1]


def test_whoever_brings_more_than_can_wait_waits() -> None:
    disk, brought = threading.Event(), []

    def bring() -> None:
        with kept_aside() as keep:
            for number in range(MOST_WAITING + 1):
                keep(disk.wait)  # type: ignore[arg-type]
                brought.append(number)

    thread = threading.Thread(target=bring)
    thread.start()
    thread.join(0.3)
    assert len(brought) == MOST_WAITING
    disk.set()
    thread.join()
    assert len(brought) == MOST_WAITING + 1


@pytest.mark.parametrize("further", [0, 1])
def test_a_shard_that_cannot_be_kept_is_an_error(further: int) -> None:
    def fail() -> None:
        raise OSError("full")

    def bring() -> None:
        with kept_aside() as keep:
            keep(fail)
            for _ in range(further):
                keep(lambda: None)

    with pytest.raises(OSError, match="full"):
        bring()
