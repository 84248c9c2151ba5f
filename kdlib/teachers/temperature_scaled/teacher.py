"""Temperature scaling: a trained network at the temperature that is best on validation images."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn import functional as F

from kdlib.base.errors import InputError, NotFinite
from kdlib.teachers.contract import Teacher, combined_log, outputs_on
from kdlib.teachers.making import Made, Making, check_tensors

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


def fit(making: Making) -> Made:
    """Fit the temperature on validation images.

    One that ends at its limit is kept, not refused: its answers are probabilities, no worse on these images than at
    any temperature of the range. But it was not fitted inside it, which the provenance says, `temperature_at_limit`.
    """
    dataset, _ = making.to_fit()
    (parent,) = making.parents
    outputs = torch.cat(list(outputs_on(parent, dataset.val)), 1)
    fitted = best_temperature(outputs, dataset.val.labels)
    tensors = {"temperature": torch.tensor(fitted, dtype=torch.float64)}
    notes = {"fitted_temperature": fitted, "temperature_at_limit": at_limit(fitted)}
    return Made(restore(making, tensors), tensors, notes=notes)


def restore(making: Making, tensors: Mapping[str, Tensor]) -> Tempered:
    """Return the parent at the kept temperature.

    Raises:
        InputError: what is kept is no temperature.
    """
    (parent,) = making.parents
    check_tensors({"temperature": torch.Size()}, tensors, f"{making.name} is no temperature")
    fitted = float(tensors["temperature"])
    if not 0 < fitted < math.inf:
        raise InputError(f"The temperature {fitted:g} of {making.name} is refused: allowed is a finite one above 0.")
    return Tempered(parent, fitted, making.name)
