"""Seeds of what vLLM draws: of each turn, or of an engine's own stream."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from agent0.config import RolloutSettings, SamplingSettings
from agent0.rollout import Request, vllm_process
from agent0.rollout.vllm_backend import DrawArguments
from agent0.rollout.vllm_version import VllmVersion

FREE = SamplingSettings()


@pytest.mark.parametrize(
    ("seeded", "repeatable", "seed"), [(True, False, 7), (False, False, None), (False, True, 7), (True, True, 7)]
)
def test_a_turn_is_drawn_by_its_seed_where_the_settings_or_the_asker_say_so(
    seeded: bool, repeatable: bool, seed: int | None
) -> None:
    request = Request([1], 4, None, seed=7, repeatable=repeatable)
    assert DrawArguments(FREE, [], seeded).of(request)["seed"] == seed


def test_no_two_servers_and_no_two_starts_of_one_have_one_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def ends_at_once(_: float, command: list[str]) -> list[str]:
        commands.append(command)
        return ["false"]

    monkeypatch.setattr(vllm_process, "command_line", ends_at_once)
    monkeypatch.setattr(vllm_process, "require_vllm", lambda: VllmVersion("vllm", "0.31.0"))
    monkeypatch.setattr(vllm_process, "_wait_until_ready", lambda *_: None)
    for seed in (1, 2):
        with vllm_process.serve(
            tmp_path, RolloutSettings(), log=tmp_path, gpus=[0, 1], seed=seed, report=lambda _: None
        ) as endpoints:
            while endpoints.lost is None:  # each is started again until one is given up
                time.sleep(0.05)
    seeds = [word for command in commands for word in command if word.startswith("--seed=")]
    assert len(commands) >= 2 * (vllm_process.RESTARTS + 2)
    assert len(set(seeds)) == len(seeds) == len(commands)
