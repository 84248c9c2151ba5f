"""Temperature scaling: a trained network at the temperature that is best on validation images. (No torch.)"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from kdlib.teachers.kind import DOT, Kind, Mark

if TYPE_CHECKING:
    from torch import Tensor

    from kdlib.teachers.contract import Teacher
    from kdlib.teachers.making import Made, Making


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
        """Fit the temperature on validation images."""
        from kdlib.teachers.temperature_scaled.teacher import fit

        return fit(making)

    def restore(self, making: Making, tensors: Mapping[str, Tensor]) -> Teacher:
        """Return the parent at the kept temperature."""
        from kdlib.teachers.temperature_scaled.teacher import restore

        return restore(making, tensors)
