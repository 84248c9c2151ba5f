"""ReviewKD: each stage of the student, fused with all deeper ones, meets the teacher's. (No torch.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdlib.students.frameworks.framework import Framework

if TYPE_CHECKING:
    from kdlib.students.frameworks.base import Auxiliary, Both


class ReviewKD(Framework):
    """Each stage from all deeper ones (Chen et al., 2021)."""

    name = "reviewkd"
    meaning = "Each stage from all deeper ones (Chen et al., 2021)."
    title = "ReviewKD"
    weight = 0.6
    weights = {"digits": 5.0}
    by_stage = True

    def build(self, both: Both) -> Auxiliary:
        """Return the loss with what it trains."""
        from kdlib.students.frameworks.reviewkd.loss import Review

        return Review(both.teacher, *both.shapes)
