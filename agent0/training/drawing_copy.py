"""A copy of the model in training that draws in fewer bits, or while the model is trained on.

On a CPU with bfloat16 arithmetic a copy draws half as fast again as the model itself under autocast, which casts every
weight anew for each token. It costs two bytes a weight beside the sixteen of weights, gradients and AdamW.
"""

from __future__ import annotations

import copy

import torch


class DrawingCopy:
    """Keeps a copy of one model with weights of another type.

    Args:
        dtype: type of the copy's weights; a model that has it already is not copied.
        always: whether it is copied all the same, since its weights change while the copy draws.
    """

    def __init__(self, dtype: torch.dtype, always: bool = False) -> None:
        self._dtype = dtype
        self._always = always
        self._copy: torch.nn.Module | None = None

    def of(self, model: torch.nn.Module) -> torch.nn.Module:
        """Return a model with the weights that `model` has now; the next call changes them in place."""
        if not self._always and all(weight.dtype == self._dtype for weight in model.parameters()):
            return model
        if self._copy is None:
            # Weights that deepcopy finds in its memo are not copied first, and those that are tied stay tied.
            weights = {id(weight): _like(weight, self._dtype) for weight in model.parameters()}
            self._copy = copy.deepcopy(model, dict(weights))
            for module in self._copy.modules():
                # A trainer may have replaced `forward` by a function that holds the original's, which no copy changes.
                module.__dict__.pop("forward", None)
        with torch.no_grad():
            for drawing, trained in zip(self._copy.parameters(), model.parameters(), strict=True):
                drawing.copy_(trained)
        return self._copy


def _like(weight: torch.Tensor, dtype: torch.dtype) -> torch.nn.Parameter:
    # They ask for gradients, as the original's do: torch folds the rows of a strided batch into one product only for
    # such weights, and for others it would copy the output layer for each row.
    return torch.nn.Parameter(torch.empty_like(weight, dtype=dtype))
