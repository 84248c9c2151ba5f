"""Mean-field variational inference: an independent Gaussian for every weight."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn


def to_raw(value: float, cap: float | None) -> float:
    """Return the unconstrained number that `from_raw` maps to `value`."""
    return math.log(value) if cap is None else math.log(value / (cap - value))


def from_raw(raw: Tensor, cap: float | None) -> Tensor:
    """Map real numbers to (0, cap): cap · sigmoid(raw), or exp(raw) without a cap.

    A clamp would do, but its gradient is zero above the cap: what once touched it would stay there.
    """
    return raw.exp() if cap is None else cap * torch.sigmoid(raw)


class Gaussian(nn.Module):
    """Hold independent Gaussians Π N(μ_ij, (σ s_ij)²).

    Args:
        start: the first μ, (rows, columns).
        initial_sd: the first s.
        prior_sd: σ.
        cap: what s stays below; None is no cap.
    """

    def __init__(self, start: Tensor, initial_sd: float, prior_sd: float = 1.0, cap: float | None = None) -> None:
        super().__init__()
        self.mean = nn.Parameter(start.detach().clone(memory_format=torch.contiguous_format))
        self.raw_sd = nn.Parameter(torch.full_like(self.mean, to_raw(initial_sd, cap)))
        self.prior_sd, self.cap = prior_sd, cap

    def sd(self) -> Tensor:
        """Return s, (rows, columns)."""
        return from_raw(self.raw_sd, self.cap)

    def draw(self, samples: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw (samples, rows, columns) from a generator, or torch's global one."""
        mean = self.mean
        noise = torch.randn(samples, *mean.shape, generator=generator, dtype=mean.dtype, device=mean.device)
        return torch.addcmul(mean, noise, self.prior_sd * self.sd())


class MeanField(Gaussian):
    """Hold q(W) = Π N(μ_ij, (σ s_ij)²) of one layer under the prior Π N(0, σ²), σ = prior_scale / √d_in.

    Args:
        weight: (d_out, d_in), the first means.
        config: a `VariationalConfig` with nothing left open; `prior_scale` and `initial_sd` are used.

    Source: Blundell et al. (2015), Weight uncertainty in neural networks, sections 3.1 and 3.2, with the
        KL in closed form instead of by sampling.
    """

    def __init__(self, weight: Tensor, config: Any) -> None:
        super().__init__(weight, config.initial_sd, config.prior_scale / weight.shape[1] ** 0.5)

    def centre(self) -> Tensor:
        """Return the weights of the deterministic twin, (d_out, d_in): the mean."""
        return self.mean

    def kl(self) -> Tensor:
        """Return KL(q ‖ prior) = Σ_ij ½(s_ij² + (μ_ij / σ)² − 1) − ln s_ij in nats (a scalar)."""
        mean, sd = self.mean / self.prior_sd, self.sd()
        divergence: Tensor = (0.5 * (sd.square() + mean.square() - 1) - sd.log()).sum()
        return divergence
