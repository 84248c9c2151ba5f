"""PKT: images are as similar to each other as for the teacher, in probabilities. (No torch.)"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdlib.students.frameworks.framework import Framework

if TYPE_CHECKING:
    from torch import Tensor

    from kdlib.students.frameworks.features import Features
    from kdlib.training.loop import Batch


class PKT(Framework):
    """Similarities of the images of a batch, as probabilities (Passalis and Tefas, 2018)."""

    name = "pkt"
    title = "PKT"
    weight = 30_000.0
    weights = {"digits": 3000.0}

    def compare(self, mine: Features, theirs: Features, built: Any, batch: Batch) -> Tensor:
        """Return the mean over pairs (i, j) of t_ij ln(t_ij / s_ij).

        s_ij and t_ij are (1 + cosine) / 2 of the embeddings of images i and j, scaled to sum to one over j. The loss
        is torchdistill's. Source: Passalis and Tefas (2018), equations 4 to 8.
        """
        from torchdistill.losses.mid_level import PKTLoss

        total: Tensor = PKTLoss("", "", "", "").cosine_similarity_loss(mine.embedding, theirs.embedding)
        return total
