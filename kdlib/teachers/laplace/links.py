"""From Gaussian logits to class probabilities: probit, Laplace bridge and Monte Carlo."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

CHUNK = 16
"""Draws of the link `mc` held at a time."""


def probit(mean: Tensor, variance: Tensor) -> Tensor:
    """Return log softmax(mean / sqrt(1 + π/8 · variance)).

    `mean` and `variance` are `(n, classes)`, as are the log-probabilities.

    Source: MacKay 1992, "The evidence framework applied to classification networks", for two classes.
    """
    return torch.log_softmax(mean * torch.rsqrt(1 + math.pi / 8 * variance), -1)


def bridge(mean: Tensor, variance: Tensor, row_sums: Tensor) -> Tensor:
    """Return the log mean of the Dirichlet that matches logits ~ N(mean, Σ), conditioned on a sum of zero.

    With Σ1 = `row_sums` and t = 1ᵀΣ1, the conditioned mean is m = mean − Σ1 · Σ_c mean_c / t and the variance
    v = diag Σ − (Σ1)² / t; then α_c = (1 − 2/K + exp(m_c) Σ_k exp(−m_k) / K²) / v_c. All are `(n, classes)`.
    The second difference loses digits: give float64.

    Source: Hobbhahn et al. 2022, "Fast predictive uncertainty for classification with Bayesian deep networks".
    """
    classes = mean.shape[-1]
    total = row_sums.sum(-1, keepdim=True)
    centred = mean - row_sums * mean.sum(-1, keepdim=True) / total
    left = variance - row_sums.square() / total
    # in logarithms, since exp(m) · exp(−m) of confident logits overflows float32
    second = centred + torch.logsumexp(-centred, -1, keepdim=True) - 2 * math.log(classes)
    first = math.log(1 - 2 / classes) if classes > 2 else -math.inf
    log_alpha = torch.logaddexp(second, torch.full_like(second, first)) - left.log()
    return torch.log_softmax(log_alpha, -1)


def noise(samples: int, like: Tensor) -> tuple[Tensor, ...]:
    """Return standard normal draws in chunks `(≤ 16, 1, classes)`, always the same, for logits `(n, classes)`.

    They are shared by the images, so that an image's answer does not depend on the batch around it.
    """
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(samples, 1, like.shape[-1], generator=generator, dtype=torch.float64)
    return torch.split(drawn.to(like), CHUNK)


def monte_carlo(draws: Iterable[Tensor]) -> Tensor:
    """Return the log of the mean softmax over draws of logits, each `(samples, n, classes)`, held one at a time."""
    total, count = torch.tensor(-math.inf), 0
    for logits in draws:
        total = torch.logaddexp(total.to(logits), torch.logsumexp(torch.log_softmax(logits, -1), 0))
        count += len(logits)
    return total - math.log(count)
