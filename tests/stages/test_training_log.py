from __future__ import annotations

from types import SimpleNamespace

from agent0.stages.training_log import last_steps, sandbox_readings, training_rates
from agent0.training.grpo import StepLogger


def test_every_update_is_logged_and_the_closing_summary_is_not() -> None:
    seen: list[tuple[dict[str, float], int]] = []
    logger = StepLogger(lambda numbers, step: seen.append((dict(numbers), step)))
    for step, logs in enumerate(
        [
            {"loss": 0.1, "reward": 0.5, "clip_ratio/high_mean": 0.0, "epoch": 1},
            {"loss": 0.1, "clip_ratio/high_mean": 0.25},
            {"train_runtime": 3.0, "train_loss": 0.1},
        ],
        start=1,
    ):
        state = SimpleNamespace(global_step=min(step, 2), is_world_process_zero=True)
        logger.on_log(None, state, None, logs=logs)
    assert [step for _, step in seen] == [1, 2]
    assert [numbers["clip_ratio/high_mean"] for numbers, _ in seen] == [0.0, 0.25]


def test_rates_count_what_was_drawn_and_leave_rollouts_and_rewards_out_of_training() -> None:
    log = [
        {
            "completions/mean_length": 10.0,
            "num_tokens": 500.0,
            "step_time": 9.0,
            "rollout/seconds": 5.0,
            "reward/seconds": 1.0,
        },
        {"step_time": 2.0},
        {"completions/mean_length": 20.0, "num_tokens": 1300.0, "step_time": 8.0, "rollout/seconds": 4.0},
    ]
    assert training_rates(log, sequences=16) == {
        "system/generated_tokens": 480.0,
        "system/generation_seconds": 9.0,
        "system/trained_tokens": 1300.0,
        "system/training_seconds": 9.0,
    }


def test_what_is_drawn_ahead_takes_of_training_only_the_seconds_that_it_was_waited_for() -> None:
    first = {"completions/mean_length": 10.0, "num_tokens": 500.0, "step_time": 9.0, "rollout/seconds": 5.0}
    ahead = {"completions/mean_length": 20.0, "num_tokens": 900.0, "step_time": 6.0, "rollout/seconds": 7.0}
    log = [
        {**first, "rollout/staleness": 0.0, "rollout/waited_seconds": 0.0},
        {"step_time": 4.0, "rollout/staleness": 1.0},
        {**ahead, "rollout/staleness": 2.0, "rollout/waited_seconds": 2.5},
        {"step_time": 4.0, "rollout/staleness": 3.0},
    ]
    rates = training_rates(log, sequences=16)
    assert rates["system/generation_seconds"] == 12.0
    assert rates["system/training_seconds"] == (9.0 - 5.0) + 4.0 + (6.0 - 2.5) + 4.0


def test_the_summary_averages_the_last_steps_that_have_a_number() -> None:
    log = [{"reward": float(i)} if i % 2 else {"clip": float(i)} for i in range(1, 13)]
    assert last_steps(log, "executor", ("reward", "clip", "absent")) == {
        "executor/final_reward": (5 + 7 + 9 + 11) / 4,
        "executor/final_clip": (6 + 8 + 10 + 12) / 4,
    }


def test_the_sandbox_is_read_last() -> None:
    log = [{"loss": 1.0, "sandbox/programs": 4.0}, {"loss": 1.0, "sandbox/programs": 9.0, "sandbox/ok_share": 0.5}]
    assert sandbox_readings(log) == {"sandbox/programs": 9.0, "sandbox/ok_share": 0.5}
    assert sandbox_readings([]) == {}
