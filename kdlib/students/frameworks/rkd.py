"""RKD: images lie as far apart, and at the same angles, as for the teacher; torchdistill's loss. (No torch.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdlib.students.frameworks.framework import Framework

if TYPE_CHECKING:
    from torch import Tensor

    from kdlib.students.frameworks.base import Auxiliary, Both, Features


DISTANCE, ANGLE = 25.0, 50.0
"""Weights of its two parts in the benchmark of Tian et al. (2020), as the authors have them."""


def loss(mine: Features, theirs: Features) -> Tensor:
    """Return 25 times the Huber loss of the embeddings' distances, in units of their mean, and 50 times that of the
    cosines of their angles.

    Source: Park et al. (2019), sections 3.2.1 and 3.2.2; the weights are those of its classification experiments.
    """
    from torchdistill.losses.mid_level import RKDLoss

    from kdlib.students.frameworks.base import outputs

    made = RKDLoss("e", "e", dist_factor=DISTANCE, angle_factor=ANGLE, reduction="mean")
    total: Tensor = made(outputs(e=mine.embedding), outputs(e=theirs.embedding))
    return total


class RKD(Framework):
    """Distances and angles between the images of a batch (Park et al., 2019)."""

    name = "rkd"
    meaning = "Distances and angles between the images of a batch (Park et al., 2019)."
    title = "RKD"
    weight = 1.0
    weights = {"digits": 0.2}

    def build(self, both: Both) -> Auxiliary:
        """Return the loss of both networks' features."""
        from kdlib.students.frameworks.base import Relational

        return Relational(both.teacher, loss)
