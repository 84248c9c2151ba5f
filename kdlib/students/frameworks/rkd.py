"""RKD: images lie as far apart, and at the same angles, as for the teacher. (No torch.)"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdlib.students.frameworks.framework import Framework

if TYPE_CHECKING:
    from torch import Tensor

    from kdlib.students.frameworks.features import Features
    from kdlib.training.loop import Batch

DISTANCE, ANGLE = 25.0, 50.0
"""Weights of its two parts in the benchmark of Tian et al. (2020), as the authors have them."""


class RKD(Framework):
    """Distances and angles between the images of a batch (Park et al., 2019)."""

    name = "rkd"
    title = "RKD"
    weight = 1.0
    weights = {"digits": 0.2}

    def compare(self, mine: Features, theirs: Features, built: Any, batch: Batch) -> Tensor:
        """Return 25 times the Huber loss of the embeddings' distances, in units of their mean, and 50 times that of
        the cosines of their angles.

        The loss is torchdistill's. Source: Park et al. (2019), sections 3.2.1 and 3.2.2; the weights are those of its
        classification experiments.
        """
        from torchdistill.losses.mid_level import RKDLoss

        made = RKDLoss("e", "e", DISTANCE, ANGLE, reduction="mean")
        total: Tensor = made({"e": {"output": mine.embedding}}, {"e": {"output": theirs.embedding}})
        return total
