"""CC: the student's images correlate with each other as the teacher's do, in learnt embeddings. (No torch.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdlib.students.frameworks.framework import Framework

if TYPE_CHECKING:
    from kdlib.students.frameworks.base import Auxiliary, Both


class CC(Framework):
    """Correlations of the images of a batch, by a Gaussian kernel (Peng et al., 2019)."""

    name = "cc"
    meaning = "Correlations of the images of a batch, by a Gaussian kernel (Peng et al., 2019)."
    title = "CC"
    weight = 0.02
    weights = {"digits": 0.02}

    def build(self, both: Both) -> Auxiliary:
        """Return the loss with what it trains."""
        from kdlib.students.frameworks.cc.loss import Correlation

        return Correlation(both.student, both.teacher)
