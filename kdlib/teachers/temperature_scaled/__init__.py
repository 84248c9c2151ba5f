"""Temperature scaling: a trained network at the temperature that is best on validation images. (No torch.)"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from kdlib.base.errors import InputError
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
        """Fit the temperature on validation images.

        One that ends at its limit is kept, not refused: its answers are no worse on these images than at any
        temperature of the range. But it was not fitted inside it, which the provenance says, `temperature_at_limit`.
        """
        import torch

        from kdlib.teachers.contract import outputs_on
        from kdlib.teachers.making import Made
        from kdlib.teachers.temperature_scaled.teacher import at_limit, best_temperature

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
        from kdlib.teachers.making import check_tensors
        from kdlib.teachers.temperature_scaled.teacher import Tempered

        check_tensors({"temperature": ()}, tensors, f"{making.name} is no temperature")
        fitted = float(tensors["temperature"])
        if not 0 < fitted < math.inf:
            raise InputError(
                f"The temperature {fitted:g} of {making.name} is refused: allowed is a finite one above 0."
            )
        return Tempered(making.parents[0], fitted, making.name)
