"""PKT: images are as similar to each other as for the teacher, in probabilities; torchdistill's loss. (No torch.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdlib.students.frameworks.framework import Framework

if TYPE_CHECKING:
    from torch import Tensor

    from kdlib.students.frameworks.base import Auxiliary, Both, Features


def loss(mine: Features, theirs: Features) -> Tensor:
    """Return the mean over pairs (i, j) of t_ij ln(t_ij / s_ij).

    s_ij and t_ij are (1 + cosine) / 2 of the embeddings of images i and j, scaled to sum to one over j.
    Source: Passalis and Tefas (2018), equations 4 to 8.
    """
    from torchdistill.losses.mid_level import PKTLoss

    from kdlib.students.frameworks.base import outputs

    total: Tensor = PKTLoss("e", "output", "e", "output")(outputs(e=mine.embedding), outputs(e=theirs.embedding))
    return total


class PKT(Framework):
    """Similarities of the images of a batch, as probabilities (Passalis and Tefas, 2018)."""

    name = "pkt"
    meaning = "Similarities of the images of a batch, as probabilities (Passalis and Tefas, 2018)."
    title = "PKT"
    weight = 30_000.0
    weights = {"digits": 3000.0}

    def build(self, both: Both) -> Auxiliary:
        """Return the loss of both networks' features."""
        from kdlib.students.frameworks.base import Relational

        return Relational(both.teacher, loss)
