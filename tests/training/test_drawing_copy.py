from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from trl.trainer.utils import add_fused_lm_head

from agent0.training.drawing_copy import DrawingCopy


def test_the_copy_follows_the_weights_and_leaves_them_alone(random_model: Any) -> None:
    copies = DrawingCopy(torch.bfloat16)
    first = copies.of(random_model)
    assert {weight.dtype for weight in first.parameters()} == {torch.bfloat16}
    assert {weight.dtype for weight in random_model.parameters()} == {torch.float32}
    embeddings = random_model.get_input_embeddings().weight
    before = embeddings.detach().clone()
    with torch.no_grad():
        embeddings += 1
    second = copies.of(random_model)
    with torch.no_grad():
        embeddings.copy_(before)
    assert second is first
    assert torch.equal(first.get_input_embeddings().weight, (before + 1).to(torch.bfloat16))


def test_tied_weights_stay_tied_and_what_is_no_weight_keeps_its_type(random_model: Any) -> None:
    copy = DrawingCopy(torch.bfloat16).of(random_model)
    tied = random_model.get_input_embeddings().weight is random_model.get_output_embeddings().weight
    assert (copy.get_input_embeddings().weight is copy.get_output_embeddings().weight) == tied
    assert [b.dtype for b in copy.buffers()] == [b.dtype for b in random_model.buffers()]


def test_a_model_of_that_type_draws_itself(random_model: Any) -> None:
    assert DrawingCopy(torch.float32).of(random_model) is random_model


def test_the_copy_draws_with_its_own_weights_although_the_trainer_replaced_the_forward(random_model: Any) -> None:
    model = deepcopy(random_model)
    add_fused_lm_head(model, temperature=1.0, cast_lm_head_to_fp32=False, outputs=("log_probs", "entropy"))
    drawing = DrawingCopy(torch.bfloat16).of(model)
    ids = torch.tensor([[1, 2, 3]])
    assert drawing(ids).logits.dtype == torch.bfloat16
    assert model(ids).logits.dtype == torch.float32
    with torch.no_grad():
        for weight in model.parameters():
            weight.fill_(float("nan"))
        assert drawing(ids).logits.isfinite().all()
