"""Choosing the prior precision: by the marginal likelihood, or by validation data on a grid."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from scipy.optimize import brentq
from torch import Tensor

from kdlib.base.errors import NotFinite


def marglik(eigenvalues: Tensor, squared_norm: float) -> float:
    """Return the prior precision δ at the only maximum of the log marginal likelihood.

    With the eigenvalues λ of the log-likelihood's negative Hessian, one for each weight, and the trained weights θ it
    is ln p(labels | θ) − ½ Σ_k ln(1 + λ_k / δ) − ½ δ ‖θ‖². Its slope in ln δ is ½ (Σ_k λ_k / (λ_k + δ) − δ ‖θ‖²), which
    falls in δ: its root between 1e-10 and 1e10 is found in float64 by Brent's method, so no step size, start or number
    of steps enters.

    Raises:
        NotFinite: there is none in that range.

    Source: Immer et al. 2021, "Scalable marginal likelihood estimation for model selection", equation 5; MacKay 1992,
    "Bayesian interpolation", equation 4.8 (the number of well-determined parameters).
    """
    values = eigenvalues.double()

    def slope(log_precision: float) -> float:
        precision = math.exp(log_precision)
        return float((values / (values + precision)).sum()) - precision * squared_norm

    low, high = math.log(1e-10), math.log(1e10)
    if not slope(low) > 0 > slope(high):
        raise NotFinite(
            "The marginal likelihood has no maximum at a prior precision between 1e-10 and 1e10: the curvature or the "
            "weights are zero or not finite; choose prior_precision gridsearch."
        )
    return math.exp(float(brentq(slope, low, high, xtol=1e-12)))


def gridsearch(
    loss: Callable[[float], float], lowest: float = 1e-4, highest: float = 1e4, points: int = 41
) -> tuple[float, bool]:
    """Return the prior precision on a logarithmic grid with the lowest `loss`, and whether that is at the grid's limit.

    In float64; the first of equals. A precision at which the posterior has no numerical factor, or the loss is not a
    finite number, is passed over. At the limit is the first or last precision that is left: the best one may lie beyond
    it. That is no error, for the posterior is one; but nothing says that its prior is the best.

    Raises:
        NotFinite: no precision is left.
    """
    losses: dict[float, float] = {}
    for step in range(points):
        precision = lowest * (highest / lowest) ** (step / (points - 1))
        try:
            value = loss(precision)
        except (NotFinite, torch.linalg.LinAlgError):  # type: ignore[attr-defined]  # missing from its stub
            continue
        if math.isfinite(value):
            losses[precision] = value
    if not losses:
        raise NotFinite(f"No prior precision from {lowest:g} to {highest:g} gives a finite validation NLL.")
    best = min(losses, key=losses.__getitem__)
    return best, best in (min(losses), max(losses))
