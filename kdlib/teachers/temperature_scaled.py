"""Temperature scaling: a trained network at the temperature that is best on validation images. (No torch.)"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from kdlib.base.errors import InputError, NotFinite
from kdlib.teachers.kind import DOT, Kind, Mark

if TYPE_CHECKING:
    from torch import Tensor

    from kdlib.teachers.contract import Teacher
    from kdlib.teachers.making import Made, Making


LOWEST, HIGHEST = 0.05, 20.0
"""Temperatures between which the best one is sought."""
CLOSE = 1e-3
"""How near to an end, relative to it, the fitted temperature counts as there: a bounded search only approaches it."""


class TemperatureScaled(Kind):
    """Source: Guo et al., ICML 2017, section 4.2."""

    name = "temperature_scaled"
    meaning = "Control: a trained network at the temperature that is best on validation images."
    title = "temperature scaled"
    mark = Mark("#7b52ab", "X", DOT, "||")
    semantics = 2  # fitted in float64
    trains = one_network = followed = False
    starts_with = "parent"

    def accepts(self, parent: Kind) -> bool:
        """Start from what answers alike each time it is asked, and was not tempered before."""
        return parent.one_network or parent.may_be_tempered

    def fit(self, making: Making) -> Made:
        """Fit the temperature on validation images.

        One that ends at its limit is kept, not refused: its answers are no worse on these images than at any
        temperature of the range. But it was not fitted inside it, which the provenance says, `temperature_at_limit`.
        """
        import torch

        from kdlib.teachers.contract import outputs_on
        from kdlib.teachers.making import Made

        (parent,) = making.parents
        outputs = torch.cat(list(outputs_on(parent, making.data.val)), 1)
        fitted = best_temperature(outputs, making.data.val.labels)
        tensors = {"temperature": torch.tensor(fitted, dtype=torch.float64)}
        notes = {"fitted_temperature": fitted, "temperature_at_limit": at_limit(fitted)}
        return Made(self.restore(making, tensors), tensors, notes=notes)

    def restore(self, making: Making, tensors: Mapping[str, Tensor]) -> Teacher:
        """Return the parent at the kept temperature.

        Raises:
            InputError: what is kept is no temperature.
        """
        from kdlib.teachers.contract import Derived
        from kdlib.teachers.making import check_tensors

        check_tensors({"temperature": ()}, tensors, f"{making.name} is no temperature")
        fitted = float(tensors["temperature"])
        if not 0 < fitted < math.inf:
            raise InputError(
                f"The temperature {fitted:g} of {making.name} is refused: allowed is a finite one above 0."
            )
        (parent,) = making.parents
        return Derived((parent,), lambda x, samples: parent._outputs(x, samples) / fitted, making.name)


def best_temperature(outputs: Tensor, labels: Tensor) -> float:
    """Return the temperature between `LOWEST` and `HIGHEST` of the lowest NLL of outputs `(samples, n, classes)`.

    In float64, by Brent's method over ln T to 1e-6: the NLL is convex in 1/T for one sample, so it has one minimum.
    Source: Guo et al., ICML 2017, section 4.2.

    Raises:
        NotFinite: an output is not finite, so that no temperature has an NLL.
    """
    from scipy.optimize import minimize_scalar
    from torch.nn import functional as F

    from kdlib.teachers.contract import combined_log

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
