"""What is measured along the paths of the synthetic experiment, for many networks at once.

Softmax regression is the case that is exact: with equal covariances the BCP is one, so the optimum is known. At it
every per-sample gradient under exact BCPs vanishes, and labels leave the noise that the bounds speak of. Adding the
same number to all classes' logits changes nothing, so distances are taken orthogonally to that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from kdlib.experiments.synthetic.trajectories import backward, forward

BINS = 15


@dataclass(frozen=True)
class Points:
    """Hold points of every seed: `(seeds, n, dimensions)`, labels `(seeds, n)` and BCPs `(seeds, n, classes)`."""

    points: Tensor
    labels: Tensor
    bcp: Tensor

    def of(self, seeds: Tensor, most: int | None = None) -> Points:
        """Return the first `most` points of these seeds."""
        return Points(self.points[seeds, :most], self.labels[seeds, :most], self.bcp[seeds, :most])


def calibration_errors(confidence: Tensor, correct: Tensor) -> Tensor:
    """Return Σ_b (n_b / n) |accuracy_b − confidence_b| over 15 bins of equal width, `(T,)`, of `(T, n)` guesses."""
    edges = torch.linspace(0, 1, BINS + 1, dtype=torch.float64).to(confidence)[1:-1]
    bin_of = torch.bucketize(confidence, edges, right=True)
    gap = correct.to(confidence) - confidence
    return torch.stack([(gap * (bin_of == b)).sum(1).abs() for b in range(BINS)]).sum(0) / confidence.shape[1]


def quality(logits: Tensor, seen: Points) -> dict[str, Tensor]:
    """Return `QUALITY`, `(T,)` each, of logits `(T, n, classes)`: NLL in nats, mean |s − p|₂ to the BCPs."""
    logs = F.log_softmax(logits, 2)
    probs = logs.exp()
    confidence, guess = probs.max(2)
    correct = guess == seen.labels
    return {
        "accuracy": correct.float().mean(1),
        "nll": -logs.gather(2, seen.labels[:, :, None])[:, :, 0].mean(1),
        "l2_to_bcp": (probs - seen.bcp).norm(dim=2).mean(1),
        "ece": calibration_errors(confidence, correct),
    }


def spread(layers: Sequence[Tensor], activations: Sequence[Tensor], errors: Tensor) -> tuple[Tensor, Tensor]:
    """Return the trace of the covariance of per-sample gradients and the squared norm of their mean, `(T,)` each.

    tr Cov[g] = n/(n − 1) · (mean |g|² − |mean g|²), without forming a single per-sample gradient: that of one layer is
    the outer product of its input (with a 1 for the bias) and its backpropagated error, so its squared norm is
    (|a|² + 1)|δ|², and only the mean gradient is ever as large as the network.

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


def gradients(layers: Sequence[Tensor], seen: Points, targets: Tensor) -> dict[str, Tensor]:
    """Return `GRADIENTS`, `(T,)` each, of networks on training points with targets `(T, n, classes)`."""
    *activations, logits = forward(layers, seen.points)
    probs = torch.softmax(logits, 2)
    own, middle = spread(layers, activations, probs - targets)
    point = spread(layers, activations, probs - seen.bcp)[0]
    return {"gradient_variance": own, "point_variance": point, "mean_gradient": middle}


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


def exact(layers: Sequence[Tensor], seen: Points, optimum: Tensor) -> dict[str, Tensor]:
    """Return `EXACT`, `(T,)` each, of softmax regressions; of deeper networks nothing."""
    weights, *deeper = layers
    if deeper:
        return {}
    return {
        "distance": distance(weights, optimum),
        "curvature": curvature(weights, optimum, seen.points).to(weights.dtype),
    }


def constants(seen: Points, targets: Tensor) -> dict[str, Tensor]:
    """Return what the bound needs of a softmax regression on its training points with targets `(T, n, classes)`.

    `noise` is σ² = E|g(x, q)|² at the optimum, where g = (x, 1) (p − q)ᵀ, for the network's probabilities are the BCPs;
    `smoothness` is L, the largest ½(|x|² + 1), the smoothness of one sample's loss. `(T,)` each.
    """
    lengths = seen.points.square().sum(2) + 1
    noise = (lengths * (seen.bcp - targets).square().sum(2)).mean(1)
    return {"noise": noise, "smoothness": lengths.amax(1) / 2}
