"""VID: the student's stages tell as much as they can of the teacher's. (No torch.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdlib.students.frameworks.framework import Framework

if TYPE_CHECKING:
    from kdlib.students.frameworks.base import Auxiliary, Both


class VID(Framework):
    """Mutual information of the stages, by its variational bound (Ahn et al., 2019)."""

    name = "vid"
    meaning = "Mutual information of the stages, by its variational bound (Ahn et al., 2019)."
    title = "VID"
    weight = 1.0
    weights = {"digits": 5.0}
    by_stage = True

    def build(self, both: Both) -> Auxiliary:
        """Return the loss with what it trains."""
        from kdlib.students.frameworks.vid.loss import Information

        return Information(both.teacher, *both.shapes)
