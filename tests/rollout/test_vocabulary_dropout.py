import pytest

torch = pytest.importorskip("torch", reason="vocabulary dropout acts on tensors")

from agent0.errors import UsageError  # noqa: E402
from agent0.rollout.vocabulary_dropout import VocabularyDropout  # noqa: E402


def test_protected_tokens_stay_and_about_the_wanted_share_goes():
    dropout = VocabularyDropout(10_000, retention=0.8, protected=[0, 5, 9_999])
    scores = dropout(torch.zeros(2, 1, dtype=torch.long), torch.zeros(2, 10_000))
    assert scores[:, [0, 5, 9_999]].eq(0).all()
    assert 0.17 < scores[0].isinf().float().mean().item() < 0.23
    assert scores[0].equal(scores[1])


def test_the_mask_changes_with_the_step_and_only_with_it():
    one, two = (VocabularyDropout(500, 0.5, [0], seed=3) for _ in range(2))
    first = one.dropped.clone()
    assert first.equal(two.dropped)
    one.redraw(1)
    assert not first.equal(one.dropped)
    one.redraw(0)
    assert first.equal(one.dropped)


def test_full_retention_changes_nothing():
    scores = torch.randn(3, 4, 50)
    assert VocabularyDropout(50, 1.0, [0])(torch.zeros(3, 1), scores).equal(scores)


def test_generation_draws_no_dropped_token():
    transformers = pytest.importorskip("transformers", reason="generation needs a model")
    config = transformers.GPT2Config(vocab_size=64, n_positions=64, n_embd=16, n_layer=1, n_head=2)
    model = transformers.GPT2LMHeadModel(config)
    dropout = VocabularyDropout(64, 0.3, [63], seed=1)
    output = model.generate(
        torch.zeros(4, 1, dtype=torch.long),
        max_new_tokens=20,
        do_sample=True,
        top_k=0,
        logits_processor=transformers.LogitsProcessorList([dropout]),
        pad_token_id=63,
        eos_token_id=63,
    )
    assert not dropout.dropped[output[:, 1:]].any()


@pytest.mark.parametrize(
    ("vocabulary", "retention", "protected"), [(10, 0.0, [1]), (10, 1.5, [1]), (10, 0.5, []), (10, 0.5, [10])]
)
def test_settings_that_cannot_work_are_usage_errors(vocabulary, retention, protected):
    with pytest.raises(UsageError):
        VocabularyDropout(vocabulary, retention, protected)


def test_logits_of_another_size_are_a_usage_error():
    with pytest.raises(UsageError, match="10 tokens"):
        VocabularyDropout(10, 0.5, [1])(torch.zeros(1, 1), torch.zeros(1, 12))
