"""The approximate posterior q(U) of a layer's inducing weights: a Gaussian with a diagonal covariance.

A KL to a Gaussian prior needs two numbers of it: `energy(P_r, P_c)` = E‖P_r U P_cᵀ‖² (squared Frobenius norm; None
stands for the identity) and `log_det()` = ln |Cov vec U|. With prior precision (P_cᵀP_c) ⊗ (P_rᵀP_r), k = rows ·
columns: KL = ½(energy − k − log_det − ln |prior precision|).

Source: Ritter et al. (2021), section 3.2 (FFG-U).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kdlib.teachers.variational.options import Options
from kdlib.teachers.variational.posterior import from_raw, to_raw


class InducingWeights(nn.Module):
    """Hold q(U) = Π N(m_ij, s_ij²); `start` is the first mean, (rows, columns)."""

    def __init__(self, start: Tensor, options: Options) -> None:
        super().__init__()
        self.mean, self.cap = nn.Parameter(start.clone()), options.max_sd
        self.raw_sd = nn.Parameter(torch.full_like(start, to_raw(options.initial_sd, self.cap)))

    def draw(self, samples: int, generator: torch.Generator | None) -> Tensor:
        """Draw U, (samples, rows, columns)."""
        mean = self.mean
        noise = torch.randn(samples, *mean.shape, generator=generator, dtype=mean.dtype, device=mean.device)
        return torch.addcmul(mean, noise, from_raw(self.raw_sd, self.cap))

    def energy(self, left: Tensor | None, right: Tensor | None) -> Tensor:
        """Return E‖left U rightᵀ‖² (a scalar), where None is the identity."""
        mean: Tensor = self.mean
        variance = from_raw(self.raw_sd, self.cap).square()
        if left is not None:
            mean, variance = left @ mean, left.square().sum(0)[:, None] * variance
        if right is not None:
            mean, variance = mean @ right.mT, variance * right.square().sum(0)
        return mean.square().sum() + variance.sum()

    def log_det(self) -> Tensor:
        """Return ln |Cov vec U| (a scalar)."""
        return 2 * from_raw(self.raw_sd, self.cap).log().sum()
