"""Temperature scaling: a trained network at the temperature that is best on validation images."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from kdlib.contract import Made, Making, Teacher, check_tensors, combine, outputs_on

LOWEST, HIGHEST = 0.05, 20.0
"""Temperatures between which the best one is sought."""


class TemperatureScaled(Teacher):
    """Divide a parent's outputs by one fitted temperature: softmax(z / T)."""

    def __init__(self, parent: Teacher, fitted: float, name: str) -> None:
        super().__init__(parent.network, parent.hardware, name)
        self.parent, self.fitted = parent, fitted

    def _outputs(self, x: Tensor, samples: int) -> Tensor:
        return self.parent._outputs(x, samples) / self.fitted


def best_temperature(outputs: Tensor, labels: Tensor) -> float:
    """Return the temperature of the lowest NLL of outputs `(samples, n, classes)`, to five digits.

    The NLL is convex in 1/T for one sample, so the search by golden section over ln T finds its only minimum.
    Source: Guo et al., ICML 2017, section 4.2.
    """
    ratio = (math.sqrt(5) - 1) / 2
    exact = outputs.double()

    def nll(log_t: float) -> float:
        if len(exact) == 1:
            return float(F.cross_entropy(exact[0] / math.exp(log_t), labels))
        return float(F.nll_loss(combine(exact, math.exp(log_t)).clamp_min(1e-30).log(), labels))

    low, high = math.log(LOWEST), math.log(HIGHEST)
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = nll(left), nll(right)
    while high - low > 1e-5:
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = nll(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = nll(right)
    return math.exp((low + high) / 2)


def fit(making: Making) -> Made:
    """Fit the temperature on validation images."""
    dataset, _ = making.to_fit()
    (parent,) = making.parents
    outputs = torch.cat(list(outputs_on(parent, dataset.val)), 1)
    fitted = best_temperature(outputs, dataset.val.labels)
    tensors = {"temperature": torch.tensor(fitted, dtype=torch.float64)}
    return Made(restore(making, tensors), tensors, notes={"fitted_temperature": fitted})


def restore(making: Making, tensors: Mapping[str, Tensor]) -> TemperatureScaled:
    """Return the parent at the kept temperature."""
    (parent,) = making.parents
    check_tensors({"temperature": torch.Size()}, tensors, f"{making.name} is no temperature")
    return TemperatureScaled(parent, float(tensors["temperature"]), making.name)
