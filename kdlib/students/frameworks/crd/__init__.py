"""CRD: an image's two embeddings, the student's and the teacher's, are told from those of others. (No torch.)"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdlib.base.errors import InputError
from kdlib.students.frameworks.framework import Framework

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdlib.students.config import StudentConfig
    from kdlib.students.frameworks.features import Both, Features
    from kdlib.training.loop import Batch


class CRD(Framework):
    """Embeddings that tell an image from those of other classes (Tian et al., 2020)."""

    name = "crd"
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

    def build(self, both: Both) -> nn.Module:
        """Return the embeddings and memories of both networks."""
        from kdlib.students.frameworks.crd.contrast import Contrast

        return Contrast(both)

    def compare(self, mine: Features, theirs: Features, built: Any, batch: Batch) -> Tensor:
        """Return the contrastive loss of both directions."""
        total: Tensor = built(mine.embedding, theirs.embedding, batch)
        return total
