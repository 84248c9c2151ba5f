"""HSAKD: at every stage, student and teacher tell the class and by how much the image was turned. (No torch.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdlib.students.frameworks.framework import Framework

if TYPE_CHECKING:
    from kdlib.students.frameworks.base import Auxiliary, Both


class HSAKD(Framework):
    """Class and quarter turn together, at every stage (Yang et al., 2021)."""

    name = "hsakd"
    meaning = "Class and quarter turn together, at every stage (Yang et al., 2021)."
    title = "HSAKD"
    weight = 1.0
    weights = {"digits": 5.0}
    by_stage = True

    def build(self, both: Both) -> Auxiliary:
        """Return the loss with what it trains."""
        from kdlib.students.frameworks.hsakd.loss import Rotations

        return Rotations(both.teacher, *both.shapes)
