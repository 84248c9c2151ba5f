"""ReviewKD: each stage of the student, fused with all deeper ones, meets the teacher's of its level. (No torch.)"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdlib.students.frameworks.framework import Framework

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdlib.students.frameworks.features import Both, Features
    from kdlib.training.loop import Batch

LARGEST = 512
"""Most channels of a fusion, as published."""


class ReviewKD(Framework):
    """Each stage from all deeper ones (Chen et al., 2021).

    The levels are the stages and the embedding as a 1×1 map. Going from the deepest to the first, an attention-based
    fusion joins the student's level with what was fused before. Fusions and loss are torchdistill's. Without the
    published warm-up of 20 epochs, in which the weight rises from 0. Source: sections 3.2 to 3.4.
    """

    name = "reviewkd"
    title = "ReviewKD"
    weight = 0.6
    weights = {"digits": 5.0}
    by_stage = True

    def build(self, both: Both) -> nn.Module:
        """Return a fusion for each level."""
        from torch import nn
        from torchdistill.models.wrapper import AttentionBasedFusion

        mine, theirs = ([width for width, _ in (*shapes, shapes[-1])] for shapes in both.shapes)
        middle = min(LARGEST, mine[-1])
        fusions = (
            AttentionBasedFusion(width, middle, wanted, uses_attention=level < len(mine) - 1)
            for level, (width, wanted) in enumerate(zip(mine, theirs, strict=True))
        )
        return nn.ModuleDict({"fusions": nn.ModuleList(fusions)})

    def compare(self, mine: Features, theirs: Features, built: Any, batch: Batch) -> Tensor:
        """Return Σ over levels of the hierarchical context loss: squared errors at the full side and pooled to 4, 2
        and 1."""
        from torchdistill.losses.mid_level import HierarchicalContextLoss

        context = HierarchicalContextLoss("s", "output", "t", "output")
        levels = [*mine.paired(theirs), (mine.embedding[:, :, None, None], theirs.embedding[:, :, None, None])]
        fused: Tensor | None = None
        total = mine.logits.new_zeros(())
        for fusion, (student, target) in zip(reversed(built["fusions"]), reversed(levels), strict=True):
            answer, fused = fusion(student, fused, student.shape[-1])
            total = total + context({"s": {"output": (answer, fused)}}, {"t": {"output": target}})
        return total
