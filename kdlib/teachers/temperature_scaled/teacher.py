"""Temperature scaling: a trained network at the temperature that is best on validation images."""

from __future__ import annotations

import math

from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn import functional as F

from kdlib.base.errors import NotFinite
from kdlib.teachers.contract import Teacher, combined_log

LOWEST, HIGHEST = 0.05, 20.0
"""Temperatures between which the best one is sought."""
CLOSE = 1e-3
"""How near to an end, relative to it, the fitted temperature counts as there: a bounded search only approaches it."""


class Tempered(Teacher):
    """Divide a parent's outputs by one fitted temperature: softmax(z / T)."""

    def __init__(self, parent: Teacher, fitted: float, name: str) -> None:
        super().__init__(parent.network, parent.hardware, name)
        self.parent, self.fitted = parent, fitted

    def _outputs(self, x: Tensor, samples: int) -> Tensor:
        return self.parent._outputs(x, samples) / self.fitted


def best_temperature(outputs: Tensor, labels: Tensor) -> float:
    """Return the temperature between `LOWEST` and `HIGHEST` of the lowest NLL of outputs `(samples, n, classes)`.

    In float64, by Brent's method over ln T to 1e-6: the NLL is convex in 1/T for one sample, so it has one minimum.
    Source: Guo et al., ICML 2017, section 4.2.

    Raises:
        NotFinite: an output is not finite, so that no temperature has an NLL.
    """
    exact = outputs.double()
    if not bool(exact.isfinite().all()):
        raise NotFinite("The temperature cannot be fitted: some outputs on validation images are not finite.")

    def nll(log_t: float) -> float:
        return float(F.nll_loss(combined_log(exact, math.exp(log_t)), labels))

    bounds = (math.log(LOWEST), math.log(HIGHEST))
    return math.exp(float(minimize_scalar(nll, bounds=bounds, method="bounded", options={"xatol": 1e-6}).x))


def at_limit(fitted: float) -> bool:
    """Say whether a fitted temperature is an end of the range: the best one lies there or beyond."""
    return fitted <= LOWEST * (1 + CLOSE) or fitted >= HIGHEST * (1 - CLOSE)
