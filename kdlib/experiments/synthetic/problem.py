"""A mixture of Gaussians whose Bayes class probabilities are known, and the ways to supervise with them.

Class c is drawn uniformly, x from N(μ_c, v I) with every coordinate of μ_c drawn from a few values. Each seed has a
problem of its own, so that seeds are independent. The training rows are the first, then validation, then test.
Source: Morad et al. 2026, the synthetic experiment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from kdlib.experiments.synthetic.config import Supervision

Floats = NDArray[np.float64]

TRAIN, VALIDATION = 0.45, 0.45
"""Shares of the points; the rest is for the test."""


class Stream(IntEnum):
    """Name the independent streams of random numbers of a seed."""

    POINTS = 0
    NOISE = 1
    WEIGHTS = 2
    ORDER = 3


def generator(seed: int, stream: Stream, *more: int) -> np.random.Generator:
    """Return the random numbers of one stream of a seed."""
    return np.random.default_rng([seed, stream, *more])


@dataclass(frozen=True)
class Mixture:
    """Hold one seed's problem; points are standardised by the training points' mean and sd."""

    points: Floats
    """`(n, dimensions)`"""
    labels: NDArray[np.int64]
    """`(n,)`"""
    bcp: Floats
    """`(n, classes)`, rows sum to one"""
    optimum: Floats
    """`(dimensions + 1, classes)`: weights and, in the last row, biases of the softmax regression that is the BCP."""


def bayes(points: Floats, means: Floats, variance: float) -> Floats:
    """Return the BCPs `(n, classes)` of points `(n, dimensions)`: p_c ∝ exp(−|x − μ_c|² / 2v)."""
    squares = (points**2).sum(1)[:, None] - 2 * points @ means.T + (means**2).sum(1)
    exact: Floats = softmax(-squares / (2 * variance), axis=1)
    return exact


def draw(seed: int, classes: int, dimensions: int, values: Sequence[float], variance: float, points: int) -> Mixture:
    """Draw a seed's class means, points, labels and their BCPs.

    With equal covariances the BCP is log-linear in x: log p_c = μ_c·x / v − |μ_c|² / 2v + const.
    """
    random = generator(seed, Stream.POINTS)
    means = random.choice(np.asarray(values, np.float64), (classes, dimensions))
    labels = random.integers(classes, size=points)
    raw = means[labels] + np.sqrt(variance) * random.standard_normal((points, dimensions))
    train = raw[: round(TRAIN * points)]
    middle, scale = train.mean(0), train.std(0)
    biases = means @ middle / variance - (means**2).sum(1) / (2 * variance)
    optimum = np.vstack([scale[:, None] * means.T / variance, biases])
    return Mixture((raw - middle) / scale, labels, bayes(raw, means, variance), optimum)


def dirichlet(bcp: Floats, concentration: float, seed: int) -> Floats:
    """Return noisy BCPs `(n, classes)`, a draw of Dirichlet(c·p) a row.

    Mean p, covariance (diag p − p pᵀ) / (c + 1): the covariance of the label, times `noise_share`.
    """
    random = generator(seed, Stream.NOISE, round(1e6 * concentration))
    # a shape of zero gives zero: a class that cannot be
    gammas = random.standard_gamma(concentration * bcp)
    # where all are too small for a number, the largest is a class's with its probability, and the others are nothing
    lost = gammas.sum(1) == 0
    gammas[lost] = random.multinomial(1, bcp[lost])
    drawn: Floats = gammas / gammas.sum(1, keepdims=True)
    return drawn


@dataclass(frozen=True)
class Level:
    """Hold one supervision: its kind and, for noisy BCPs and mixtures, its parameter."""

    supervision: Supervision
    value: float = 0.0
    """The concentration c of `noisy_bcp`, the kd_weight w of `mixture`, both above 0."""

    @property
    def name(self) -> str:
        """Return `one_hot`, `exact_bcp`, `noisy_bcp_5`, `mixture_0.5`."""
        return f"{self.supervision}_{self.value:g}" if self.value else str(self.supervision)

    @property
    def noise_share(self) -> float:
        """Return ν in Cov[q | x] = ν (diag p − p pᵀ): 1 for labels, 0 for BCPs, 1/(c + 1), (1 − w)²."""
        shares = {
            Supervision.ONE_HOT: 1.0,
            Supervision.EXACT_BCP: 0.0,
            Supervision.NOISY_BCP: 1 / (self.value + 1),
            Supervision.MIXTURE: (1 - self.value) ** 2,
        }
        return shares[self.supervision]

    def targets(self, mixture: Mixture, rows: slice, seed: int) -> Floats:
        """Return what the student is told of these rows `(n, classes)`; its mean given x is the BCP."""
        bcp = mixture.bcp[rows]
        if self.supervision is Supervision.EXACT_BCP:
            return bcp
        if self.supervision is Supervision.NOISY_BCP:
            return dirichlet(bcp, self.value, seed)
        hard: Floats = np.eye(bcp.shape[1])[mixture.labels[rows]]
        return hard if self.supervision is Supervision.ONE_HOT else self.value * bcp + (1 - self.value) * hard


def levels(supervisions: str, concentrations: str, kd_weights: str) -> list[Level]:
    """Return the supervisions of an experiment, each noise level one of its own."""
    values = {Supervision.NOISY_BCP: concentrations, Supervision.MIXTURE: kd_weights}
    kinds = [Supervision(name) for name in supervisions.split("+")]
    return [Level(kind, float(value)) for kind in kinds for value in values.get(kind, "0").split("+")]
