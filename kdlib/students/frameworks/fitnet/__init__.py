"""FitNet: the student's middle stage, through a regressor, meets the teacher's. (No torch.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdlib.students.frameworks.framework import Framework

if TYPE_CHECKING:
    from kdlib.students.frameworks.base import Auxiliary, Both


class FitNet(Framework):
    """The values of the middle stage, through a regressor (Romero et al., 2015)."""

    name = "fitnet"
    meaning = "The values of the middle stage, through a regressor (Romero et al., 2015)."
    title = "FitNet"
    weight = 100.0
    weights = {"digits": 1.0}
    by_stage = True

    def build(self, both: Both) -> Auxiliary:
        """Return the loss with what it trains."""
        from kdlib.students.frameworks.fitnet.loss import Hint

        return Hint(both.teacher, *both.shapes)
