"""Batch norms with statistics of their own for every weight draw, in place of the running ones.

The running statistics are a mean over the draws of many training steps and fit no single one, nor the centre. Those of
a draw come from one pass over calibration images; the running buffers stay as they are.
Source: re-estimation for averaged and for sampled weights, Izmailov et al., UAI 2018 (arXiv:1803.05407), section 3.2,
and Maddox et al., NeurIPS 2019 (arXiv:1902.02476), algorithm 1.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class BatchNormOfDraw(nn.BatchNorm2d):
    """Normalise by `given` in eval mode, where it is given, and as usual otherwise."""

    given: Tensor | None = None
    """`(2, channels)`: mean and unbiased variance."""
    estimating = False

    def forward(self, x: Tensor) -> Tensor:
        if self.estimating:
            found = torch.zeros_like(self.running_mean), torch.zeros_like(self.running_var)  # type: ignore[arg-type]
            # a momentum of 1: they become this batch's mean and unbiased variance; it is normalised by its biased one
            normalised = F.batch_norm(x, *found, self.weight, self.bias, True, 1.0, self.eps)
            self.given = torch.stack(found)
            return normalised
        if self.training or self.given is None:
            return super().forward(x)
        mean, variance = self.given
        return F.batch_norm(x, mean, variance, self.weight, self.bias, False, 0.0, self.eps)


def of_draws(network: nn.Module) -> None:
    """Let every batch norm of `network` take statistics, in place: the layers stay the same objects."""
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = BatchNormOfDraw


def norms(network: nn.Module) -> Iterator[BatchNormOfDraw]:
    """Yield the batch norms that take statistics, in the order of the network's modules."""
    return (module for module in network.modules() if isinstance(module, BatchNormOfDraw))


def estimate(network: nn.Module, images: Tensor) -> list[Tensor]:
    """Return the statistics `(2, channels)` of every batch norm in one pass over images `(n, channels, height, width)`.

    Each batch norm normalises by its own batch, as in training, and its statistics are the batch's mean and unbiased
    variance, as a re-estimation with `momentum=None` gives; the rest of the network is in the mode that it is in.
    """
    found = list(norms(network))
    before = [norm.given for norm in found]
    try:
        for norm in found:
            norm.estimating = True
        with torch.no_grad():
            network(images)
        return [norm.given for norm in found if norm.given is not None]
    finally:
        for norm, given in zip(found, before, strict=True):
            norm.estimating, norm.given = False, given


def settle(network: nn.Module, images: Tensor) -> None:
    """Let the batch norms of `network` have the statistics of its weights as they are, until others are pinned."""
    for norm, given in zip(norms(network), estimate(network, images), strict=True):
        norm.given = given


class Centre:
    """A network that is still being trained, as it is validated: at its centre, with the statistics of that.

    They are estimated at the first images after each `renew`, which belongs at the start of an epoch.
    """

    def __init__(self, network: nn.Module, images: Tensor) -> None:
        of_draws(network)
        self.network, self.images, self.settled = network, images, False

    def renew(self, epoch: int) -> None:
        self.settled = False

    def __call__(self, x: Tensor) -> Tensor:
        if not self.settled:
            settle(self.network, self.images)
            self.settled = True
        logits: Tensor = self.network(x)
        return logits
