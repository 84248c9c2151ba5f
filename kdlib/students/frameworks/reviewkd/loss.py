"""ReviewKD: each stage of the student, fused with all deeper ones, meets the teacher's stage of its level."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from kdlib.models.network import Network
from kdlib.students.frameworks.base import Auxiliary, Features, Shape, outputs, paired
from kdlib.training.loop import Batch

LARGEST = 512
"""Most channels of a fusion, as published."""


class Review(Auxiliary):
    """Compare fused stages by their hierarchical context: squared errors at the full side and pooled to 4, 2 and 1.

    The levels are the stages and the embedding as a 1×1 map. Going from the deepest to the first, an attention-based
    fusion joins the student's level with what was fused before. Fusions and loss are torchdistill's. Without the
    published warm-up of 20 epochs, in which the weight rises from 0. Source: Chen et al. (2021), sections 3.2 to 3.4.
    """

    def __init__(self, teacher: Network, mine: Sequence[Shape], theirs: Sequence[Shape]) -> None:
        from torchdistill.losses.mid_level import HierarchicalContextLoss
        from torchdistill.models.wrapper import AttentionBasedFusion

        super().__init__(teacher)
        widths = [width for width, _ in (*mine, mine[-1])]
        wanted = [width for width, _ in (*theirs, theirs[-1])]
        middle = min(LARGEST, widths[-1])
        self.fusions = nn.ModuleList(
            AttentionBasedFusion(width, middle, target, uses_attention=level < len(widths) - 1)
            for level, (width, target) in enumerate(zip(widths, wanted, strict=True))
        )
        self.loss = HierarchicalContextLoss("s", "output", "t", "output", reduction="mean", output_sizes=[4, 2, 1])

    def compare(self, batch: Batch, mine: Features, theirs: Features) -> Tensor:
        """Return the sum of the context losses of all levels."""
        pairs = paired(
            [*mine.stages, mine.embedding[:, :, None, None]], [*theirs.stages, theirs.embedding[:, :, None, None]]
        )
        fused: Tensor | None = None
        total = mine.logits.new_zeros(())
        for fusion, (student, target) in zip(reversed(self.fusions), reversed(pairs), strict=True):
            answer, fused = fusion(student, fused, student.shape[-1])
            total = total + self.loss(outputs(s=(answer, fused)), outputs(t=target))
        return total
