"""DKD: the teacher's class probabilities, those of the other classes weighted apart. (No torch.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdlib.students.frameworks.framework import Framework

if TYPE_CHECKING:
    from torch import Tensor

    from kdlib.students.frameworks.framework import Tempered


class DKD(Framework):
    """The two parts of the Kullback-Leibler divergence, target class and others, with weights of their own."""

    name = "dkd"
    meaning = "The teacher's class probabilities, those of the other classes weighted apart (Zhao et al., 2022)."
    title = "DKD"
    weight = 8.0  # Zhao et al. (2022) take 2 to 8 by pair
    weights = {"digits": 1.0}
    follows = False

    def answer(self, logits: Tensor, labels: Tensor, probs: Tensor, how: Tempered) -> Tensor:
        """Return the decoupled loss in place of the divergence."""
        from kdlib.students.frameworks.dkd.loss import dkd_loss

        return dkd_loss(logits, labels, probs, how.kd_weight, how.temperature, how.student_temperature, how.weight)
