from __future__ import annotations

import pytest

from agent0.ablations import FULL
from agent0.report.ablation_effects import effects, paired_t, t_interval

FULL_FINALS = {(FULL, seed): 0.5 for seed in range(4)}


def finals(**differences: list[float]) -> dict[tuple[str, int], float]:
    others = {(name, seed): 0.5 + value for name, values in differences.items() for seed, value in enumerate(values)}
    return FULL_FINALS | others


def test_the_t_test_rejects_exactly_where_its_interval_excludes_zero() -> None:
    for values in ([0.1, 0.12, 0.02], [0.1, 0.12, 0.09], [-0.3, 0.1, -0.2, -0.1]):
        mean, half = t_interval(values)
        assert (paired_t(values) < 0.05) == (abs(mean) > half)
    assert paired_t([1.0, 2.0, 3.0]) == pytest.approx(0.0742, abs=1e-4)  # t = 3.464 with two degrees of freedom
    assert (paired_t([0.0, 0.0]), paired_t([0.25, 0.25])) == (1.0, 0.0)


def test_what_a_difference_amounts_to_depends_on_how_many_are_asked_about() -> None:
    alone = [-0.1, -0.14, -0.02, -0.09]
    one = effects(finals(grpo=alone))["grpo"]
    assert one.decided
    assert one.conclusion == "grpo: below the full method by 0.087 ± 0.079 (p = 0.039 by Holm)."
    many = effects(finals(grpo=alone, other=[0.1, -0.1, 0.0, 0.05], single=[0.1]))
    assert many["grpo"].adjusted == pytest.approx(2 * (one.p_value or 0))
    assert not many["grpo"].decided
    assert many["grpo"].conclusion.startswith("grpo: not decided; alone it lies below the full method by 0.087")
    assert many["other"].conclusion == "other: not decided; +0.013 ± 0.136 holds zero (4 pairs)."
    assert many["single"].conclusion == "single: fewer than two pairs of seeds, so nothing can be said."


def test_seeds_that_one_of_a_pair_did_not_end_are_left_out() -> None:
    found = effects({(FULL, 0): 0.5, (FULL, 1): 0.6, ("grpo", 1): 0.5, ("grpo", 2): 0.9})
    assert found["grpo"].differences == pytest.approx((-0.1,))
