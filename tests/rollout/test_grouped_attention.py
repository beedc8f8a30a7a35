"""One new token attends in groups as it would by the library's own function, and all else is left to that."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AttentionInterface, LlamaConfig, LlamaForCausalLM
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from agent0.rollout import grouped_attention
from agent0.rollout.grouped_attention import attend, attend_in_groups


class Layer(torch.nn.Module):
    """What the library's function asks of a layer."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.num_key_value_groups = groups
        self.is_causal = True


@given(
    rows=st.integers(1, 3),
    shared=st.integers(1, 3),
    groups=st.integers(1, 3),
    new=st.sampled_from([1, 1, 1, 2]),
    before=st.integers(0, 9),
    kind=st.sampled_from(["none", "bool", "added"]),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    scaling=st.sampled_from([None, 0.3]),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=150)
def test_the_output_is_that_of_sdpa(
    rows: int,
    shared: int,
    groups: int,
    new: int,
    before: int,
    kind: str,
    dtype: torch.dtype,
    scaling: float | None,
    seed: int,
) -> None:
    generator = torch.Generator().manual_seed(seed)
    query = torch.randn(rows, shared * groups, new, 8, generator=generator).to(dtype)
    # At the front of a larger buffer, as the cache has them.
    key, value = torch.randn(2, rows, shared, before + new + 3, 8, generator=generator).to(dtype)[
        :, :, :, : before + new
    ]
    seen = torch.ones(rows, 1, new, before + new, dtype=torch.bool)
    for row in range(rows):
        seen[row, ..., : min(row, before)] = False  # padding on the left
    mask = {"none": None, "bool": seen, "added": torch.zeros(seen.shape, dtype=dtype).masked_fill(~seen, -torch.inf)}[
        kind
    ]
    with torch.no_grad():
        ours, _ = attend(Layer(groups), query, key, value, mask, scaling=scaling)
        theirs, _ = sdpa_attention_forward(Layer(groups), query, key, value, mask, scaling=scaling)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    "change",
    [
        {"grad": True},
        {"dropout": 0.1},
        {"position_bias": torch.zeros(1, 4, 1, 5)},
        {"new": 2},
        {"heads": 2},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_is_no_new_token_of_a_group_goes_to_sdpa(change: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[torch.Tensor] = []

    def theirs(module: Any, query: torch.Tensor, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, None]:
        asked.append(query)
        return query, None

    monkeypatch.setattr(grouped_attention, "sdpa_attention_forward", theirs)

    def ask(heads: int = 4, new: int = 1, *, grad: bool = False, **kwargs: Any) -> None:
        with torch.set_grad_enabled(grad):
            attend(
                Layer(heads // 2),
                torch.zeros(1, heads, new, 8),
                *torch.zeros(2, 1, 2, 5, 8),
                None,
                **kwargs,
            )

    ask()
    assert not asked
    ask(**change)
    assert len(asked) == 1


def test_a_model_draws_the_same_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=64,
            hidden_size=36,
            intermediate_size=64,
            num_hidden_layers=3,
            num_attention_heads=9,
            num_key_value_heads=3,
            initializer_range=0.3,
        )
    ).eval()
    grouped: list[int] = []

    def counted(*args: Any, **kwargs: Any) -> Any:
        grouped.append(args[1].shape[2])
        return attend(*args, **kwargs)

    ids = torch.randint(1, 64, (4, 6))
    mask = torch.ones_like(ids)
    mask[0, :3] = 0

    def draw() -> list[list[int]]:
        drawn = model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=12, do_sample=False, pad_token_id=0)
        return [[int(token) for token in row] for row in drawn]

    try:
        AttentionInterface.register("sdpa", sdpa_attention_forward)
        theirs = draw()
        monkeypatch.setattr(grouped_attention, "attend", counted)
        attend_in_groups()
        assert draw() == theirs
        assert grouped.count(1) >= 3 * 11
    finally:
        monkeypatch.undo()
        attend_in_groups()
