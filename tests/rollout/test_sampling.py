from __future__ import annotations

import pytest
import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from agent0.config import SamplingSettings
from agent0.rollout.sampling import DrawOne, samplers

ROWS = 20_000


def shares(sampling: SamplingSettings, logits: torch.Tensor, rows: int = ROWS) -> torch.Tensor:
    """Return how often each token is drawn from the same logits."""
    scores = logits.repeat(rows, 1)
    draw = DrawOne()
    draw.seed(0, scores.device)
    for sampler in samplers(sampling, draw):
        scores = sampler(torch.zeros(rows, 1, dtype=torch.long), scores)
    assert (scores > -torch.inf).sum(dim=-1).eq(1).all()
    return torch.bincount(scores.argmax(dim=-1), minlength=logits.shape[-1]) / rows


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (SamplingSettings(), [0.5, 0.3, 0.2, 0.0]),
        (SamplingSettings(temperature=0.5), [0.25 / 0.38, 0.09 / 0.38, 0.04 / 0.38, 0.0]),
        (SamplingSettings(top_k=2), [0.625, 0.375, 0.0, 0.0]),
        (SamplingSettings(top_p=0.5), [1.0, 0.0, 0.0, 0.0]),
        (SamplingSettings(top_p=0.75), [0.625, 0.375, 0.0, 0.0]),
    ],
)
def test_tokens_are_drawn_by_their_probability(sampling: SamplingSettings, expected: list[float]) -> None:
    logits = torch.tensor([[0.5, 0.3, 0.2, 0.0]]).log()
    found = shares(sampling, logits)
    for share, wanted in zip(found.tolist(), expected, strict=True):
        assert share == pytest.approx(wanted, abs=4 * (wanted * (1 - wanted) / ROWS) ** 0.5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_token_without_probability_is_never_drawn(dtype: torch.dtype) -> None:
    logits = torch.full((1, 50_000), -torch.inf, dtype=dtype)
    logits[0, 100:200] = 0.0
    found = shares(SamplingSettings(), logits, rows=300)
    assert found[100:200].sum() == pytest.approx(1.0)
    assert found[:100].sum() == found[200:].sum() == 0


def test_log_probabilities_are_those_of_what_was_left_to_draw_from() -> None:
    draw = DrawOne(keeps_logprobs=True)
    draw.seed(1, torch.device("cpu"))
    logits = torch.randn(5, 40, generator=torch.Generator().manual_seed(2))
    drawn = []
    for _ in range(3):
        scores = logits.clone()
        for sampler in samplers(SamplingSettings(temperature=0.7, top_k=9), draw):
            scores = sampler(torch.zeros(5, 1, dtype=torch.long), scores)
        drawn.append(scores.argmax(dim=-1))
    top = (logits / 0.7).topk(9)
    expected = torch.full_like(logits, -torch.inf).scatter(1, top.indices, top.values).log_softmax(dim=-1)
    said = draw.taken_logprobs()
    assert said is not None
    torch.testing.assert_close(torch.tensor(said), expected.gather(1, torch.stack(drawn, dim=1)))
    assert draw.taken_logprobs() is None
    assert DrawOne().taken_logprobs() is None


def test_the_random_state_of_others_is_left_alone() -> None:
    state = torch.random.get_rng_state()
    shares(SamplingSettings(), torch.zeros(1, 8), rows=4)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_nothing_is_drawn_where_the_likeliest_is_taken() -> None:
    assert samplers(SamplingSettings(temperature=0.0), DrawOne()) == []


def test_the_library_draws_from_the_same_distribution() -> None:
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=12, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
    ).eval()
    model.lm_head.weight.data *= 4
    prompt = torch.full((ROWS, 1), 5)
    kept = {"temperature": 0.8, "top_k": 7, "top_p": 0.9}
    drawn = model.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        generation_config=GenerationConfig(max_new_tokens=1, do_sample=True, eos_token_id=0, pad_token_id=0, **kept),
    )
    theirs = torch.bincount(drawn[:, -1], minlength=12) / ROWS
    with torch.no_grad():
        ours = shares(SamplingSettings(**kept), model(prompt[:1]).logits[:, -1])
    assert (ours - theirs).abs().max() < 0.02
    assert ours.count_nonzero() == theirs.count_nonzero() > 2
