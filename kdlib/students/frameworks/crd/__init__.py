"""CRD: an image's two embeddings, the student's and the teacher's, are told from those of others. (No torch.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdlib.base.errors import InputError
from kdlib.students.frameworks.framework import Framework

if TYPE_CHECKING:
    from kdlib.students.config import StudentConfig
    from kdlib.students.frameworks.base import Auxiliary, Both


class CRD(Framework):
    """Embeddings that tell an image from those of other classes (Tian et al., 2020)."""

    name = "crd"
    meaning = "Embeddings that tell an image from those of other classes (Tian et al., 2020)."
    title = "CRD"
    weight = 0.8
    weights = {"digits": 0.02}

    def check(self, config: StudentConfig, classes: int, omitted: int) -> None:
        """Refuse less than two classes to tell apart."""
        if classes - omitted < 2:
            raise InputError(
                f"omit_classes = {config.omit_classes!r} is refused for framework = {self.name!r}: it tells images "
                "from those of other classes, so at least two must stay."
            )

    def build(self, both: Both) -> Auxiliary:
        """Return the loss with what it trains."""
        from kdlib.students.frameworks.crd.loss import Contrast

        return Contrast(both.student, both.teacher, both.rows, both.labels)
