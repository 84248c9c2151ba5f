"""Mean-field variational inference: an independent Gaussian for every weight."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kdlib.teachers.variational.options import Options
from kdlib.teachers.variational.posterior import Posterior, from_raw, to_raw


class MeanField(Posterior[tuple[Tensor, Tensor]]):
    """Hold q(W) = Π N(μ_ij, (σ s_ij)²) under the prior Π N(0, σ²), σ = prior_scale / √d_in.

    KL = Σ_ij ½(s_ij² + (μ_ij / σ)² − 1) − ln s_ij.

    Args:
        weight: (d_out, d_in), the first means.
        options: `prior_scale` and `initial_sd` are used.

    Source: Blundell et al. (2015), Weight uncertainty in neural networks, sections 3.1 and 3.2, with the
        KL in closed form instead of by sampling.
    """

    def __init__(self, weight: Tensor, options: Options) -> None:
        super().__init__()
        self.prior_sd = options.prior_scale / weight.shape[1] ** 0.5
        self.mean = nn.Parameter(weight.detach().clone(memory_format=torch.contiguous_format))
        self.raw_sd = nn.Parameter(torch.full_like(self.mean, to_raw(options.initial_sd, None)))

    def relative_sd(self) -> Tensor:
        """Return s, (d_out, d_in): the posterior's sd in units of the prior's."""
        return from_raw(self.raw_sd, None)

    def compute_factors(self) -> tuple[Tensor, Tensor]:
        return self.mean, self.prior_sd * self.relative_sd()

    def centre(self) -> Tensor:
        return self.mean

    def draw(self, samples: int, generator: torch.Generator | None = None) -> Tensor:
        mean, sd = self.factors()
        noise = torch.randn(samples, *mean.shape, generator=generator, dtype=mean.dtype, device=mean.device)
        return torch.addcmul(mean, noise, sd)

    def kl(self) -> Tensor:
        mean, sd = self.mean / self.prior_sd, self.relative_sd()
        divergence: Tensor = (0.5 * (sd.square() + mean.square() - 1) - sd.log()).sum()
        return divergence
