"""The spread of the stochastic gradient, measured without forming a single per-sample gradient.

A sample's gradient of one layer is the outer product of its input (with a 1 for the bias) and its backpropagated
error, so its squared norm is (|a|² + 1)|δ|², and only the mean gradient is ever as large as the network.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from kdlib.experiments.synthetic.trajectories import backward


def spread(layers: Sequence[Tensor], activations: Sequence[Tensor], errors: Tensor) -> tuple[Tensor, Tensor]:
    """Return the trace of the covariance of per-sample gradients and the squared norm of their mean, `(T,)` each.

    tr Cov[g] = n/(n − 1) · (mean |g|² − |mean g|²).

    Args:
        layers: views of T networks, from `Shape.views`.
        activations: from `forward` on points `(T, n, dimensions)`.
        errors: `(T, n, classes)`, s − q: the loss's gradient in the logits.
    """
    n = errors.shape[1]
    squares, middle = torch.zeros_like(errors[:, :, 0]), torch.zeros_like(errors[:, 0, 0])
    for inputs, delta in zip(activations, backward(layers, activations, errors), strict=True):
        squares += (inputs.square().sum(2) + 1) * delta.square().sum(2)
        middle += torch.bmm(inputs.transpose(1, 2), delta).div_(n).square().sum((1, 2))
        middle += delta.mean(1).square().sum(1)
    return (squares.mean(1) - middle) * n / (n - 1), middle
