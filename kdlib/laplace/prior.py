"""Choosing the prior precision: by the marginal likelihood, or by validation data on a grid."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from kdlib.errors import NotFinite


def log_marginal_likelihood(log_likelihood: float, eigenvalues: Tensor, squared_norm: float, precision: float) -> float:
    """Return log p(labels | θ) − ½ Σ_k ln(1 + λ_k / δ) − ½ δ ‖θ‖², in nats.

    `eigenvalues` λ of the log-likelihood's negative Hessian hold one value for each weight, δ is the `precision`
    of the prior and θ the trained weights.

    Source: Immer et al. 2021, "Scalable marginal likelihood estimation for model selection", equation 5.
    """
    occam = torch.log1p(eigenvalues.double() / precision).sum()
    return log_likelihood - 0.5 * float(occam) - 0.5 * precision * squared_norm


def marglik(eigenvalues: Tensor, squared_norm: float) -> float:
    """Return the prior precision δ at the only maximum of the log marginal likelihood.

    Its slope in ln δ is ½ (Σ_k λ_k / (λ_k + δ) − δ ‖θ‖²), which falls in δ: its root is found by halving an
    interval, so no step size, start or number of steps enters.

    Source: MacKay 1992, "Bayesian interpolation", equation 4.8 (the number of well-determined parameters).
    """
    values = eigenvalues.double()
    low, high = math.log(1e-10), math.log(1e10)
    for _ in range(60):
        middle = 0.5 * (low + high)
        precision = math.exp(middle)
        determined = float((values / (values + precision)).sum())
        low, high = (middle, high) if determined > precision * squared_norm else (low, middle)
    return math.exp(0.5 * (low + high))


def gridsearch(loss: Callable[[float], float], lowest: float, highest: float, points: int) -> float:
    """Return the prior precision on a logarithmic grid with the lowest `loss`; the first of equals.

    A precision at which the posterior has no numerical factor, or the loss is not a number, is passed over.
    """
    best, least = lowest, math.inf
    for step in range(points):
        precision = lowest * (highest / lowest) ** (step / (points - 1))
        try:
            value = loss(precision)
        except (NotFinite, torch.linalg.LinAlgError):  # type: ignore[attr-defined]  # missing from its stub
            continue
        if value < least:
            best, least = precision, value
    return best
