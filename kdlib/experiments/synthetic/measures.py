"""What is measured along the paths of the synthetic experiment, for many networks at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from kdlib.experiments.synthetic.gradients import spread
from kdlib.experiments.synthetic.softmax_regression import curvature, distance
from kdlib.experiments.synthetic.trajectories import forward

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


def quality(logits: Tensor, seen: Points) -> list[Tensor]:
    """Return accuracy, NLL in nats, mean |s − p|₂ and ECE, `(T,)` each, of logits `(T, n, classes)`."""
    logs = F.log_softmax(logits, 2)
    probs = logs.exp()
    confidence, guess = probs.max(2)
    correct = guess == seen.labels
    return [
        correct.float().mean(1),
        -logs.gather(2, seen.labels[:, :, None])[:, :, 0].mean(1),
        (probs - seen.bcp).norm(dim=2).mean(1),
        calibration_errors(confidence, correct),
    ]


def gradients(layers: Sequence[Tensor], seen: Points, targets: Tensor) -> list[Tensor]:
    """Return `GRADIENTS`, `(T,)` each, of networks on training points with targets `(T, n, classes)`."""
    *activations, logits = forward(layers, seen.points)
    probs = torch.softmax(logits, 2)
    own, middle = spread(layers, activations, probs - targets)
    return [own, spread(layers, activations, probs - seen.bcp)[0], middle]


def exact(layers: Sequence[Tensor], seen: Points, optimum: Tensor) -> list[Tensor]:
    """Return `EXACT`, `(T,)` each, of softmax regressions."""
    (weights,) = layers
    return [distance(weights, optimum), curvature(weights, optimum, seen.points).to(weights.dtype)]
