"""The case that is exact: with equal covariances the BCP is a softmax regression, so the optimum is known.

At it every per-sample gradient under exact BCPs vanishes, and labels leave the noise that the bounds speak of.
Adding the same number to all classes' logits changes nothing, so distances are taken orthogonally to that.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


def centred(weights: Tensor) -> Tensor:
    """Return weights `(…, dimensions + 1, classes)` without the part that changes no probability."""
    return weights - weights.mean(-1, keepdim=True)


def distance(weights: Tensor, optimum: Tensor) -> Tensor:
    """Return the squared distance `(T,)` of weights `(T, dimensions + 1, classes)` to the optima of the same shape."""
    return centred(weights - optimum).square().sum((1, 2))


def curvature(weights: Tensor, optimum: Tensor, points: Tensor) -> Tensor:
    """Return μ(θ) = 2 (f* − f(θ) − ⟨∇f(θ), θ* − θ⟩) / |θ − θ*|², `(T,)`, for f the cross-entropy with the BCPs.

    The bound holds on a path for the least of these on it: f is μ-strongly quasi-convex there. Near the optimum all
    terms are differences of almost equal numbers, so they are computed in float64, the BCPs from the optimum itself.

    Args:
        weights, optimum: `(T, dimensions + 1, classes)`.
        points: `(T, n, dimensions)`.

    Source: Gower et al. 2019, equation 2.
    """
    weights, optimum, points = weights.double(), optimum.double(), points.double()
    move = centred(optimum - weights)
    logs, exact = (F.log_softmax(torch.baddbmm(w[:, -1:], points, w[:, :-1]), 2) for w in (weights, optimum))
    change = torch.baddbmm(move[:, -1:], points, move[:, :-1])  # of the logits, on the way to the optimum
    along = ((logs.exp() - exact.exp()) * change).sum(2).mean(1)
    divergence = (exact.exp() * (exact - logs)).sum(2).mean(1)  # f(θ) − f*
    return 2 * (-divergence - along) / move.square().sum((1, 2))


@dataclass(frozen=True)
class Constants:
    """Hold what the bound needs of the problem, `(T,)` each."""

    noise: Tensor
    """σ² = E|g(x, q)|² at the optimum, on the training points."""
    smoothness: Tensor
    """L = max over training points of ½(|x|² + 1), the smoothness of one sample's loss."""


def constants(points: Tensor, targets: Tensor, bcp: Tensor) -> Constants:
    """Return σ² and L of training points `(T, n, dimensions)` with targets and BCPs `(T, n, classes)`.

    At the optimum the network's probabilities are the BCPs, so g = (x, 1) (p − q)ᵀ.
    """
    lengths = points.square().sum(2) + 1
    noise = (lengths * (bcp - targets).square().sum(2)).mean(1)
    return Constants(noise, lengths.amax(1) / 2)
