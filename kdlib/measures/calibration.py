"""Reliability: does an answer given with 80 % confidence hold 80 times in a hundred? (No torch.)

scikit-learn's `calibration_curve` does not say how many images a bin holds, and its bins of equal mass part equal
confidences; `scipy.stats.binned_statistic` would cost every training process the import of `scipy.stats`.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike


class Binning(StrEnum):
    """How confidences are put into bins."""

    WIDTH = "width"
    """Bins of equal width on [0, 1], closed on the left; a confidence of 1 belongs to the last."""
    MASS = "mass"
    """Bins with equally many images; equal confidences share a bin, so the order of images is immaterial."""


def calibration_error(
    confidence: ArrayLike, correct: ArrayLike, bins: int = 15, binning: Binning = Binning.WIDTH
) -> float:
    """Return the expected calibration error: Σ_b (n_b / n) |accuracy_b − confidence_b|, in [0, 1].

    Args:
        confidence: `(n,)` probability of the most probable class, in [0, 1]; n ≥ 1.
        correct: `(n,)` whether that class is the label.
        bins: how many bins, at least 1.
        binning: bins of equal width (ECE) or of equal mass (adaptive ECE).

    Source: Naeini et al. 2015; Guo et al. 2017, eq. 3; Nguyen and O'Connor 2015 (equal mass).
    """
    confidence, correct = np.asarray(confidence, np.float64), np.asarray(correct, np.float64)
    if binning is Binning.WIDTH:
        edges = np.linspace(0, 1, bins + 1)
        bin_of = np.clip(np.searchsorted(edges, confidence, side="right") - 1, 0, bins - 1)
    else:
        _, tied, sizes = np.unique(confidence, return_inverse=True, return_counts=True)
        first_rank = np.cumsum(sizes) - sizes
        bin_of = first_rank[tied] * bins // len(confidence)
    count = np.bincount(bin_of, minlength=bins).astype(np.float64)
    held = count > 0
    sums = (np.bincount(bin_of, weights=values, minlength=bins)[held] for values in (confidence, correct))
    sure, right = (total / count[held] for total in sums)
    return float((count[held] * np.abs(right - sure)).sum() / count.sum())
