"""SP: images are as similar to each other as for the teacher, in products; torchdistill's loss. (No torch.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdlib.students.frameworks.framework import Framework

if TYPE_CHECKING:
    from torch import Tensor

    from kdlib.students.frameworks.base import Auxiliary, Both, Features


def similarities(stage: Tensor) -> Tensor:
    """Return G `(n, n)` = Z Zᵀ of a flattened stage Z `(n, c h w)`, each row scaled to (Euclidean) norm 1."""
    from torch.nn import functional as F

    flat = stage.flatten(1)
    return F.normalize(flat @ flat.T, dim=1)


def loss(mine: Features, theirs: Features) -> Tensor:
    """Return ‖G_s - G_t‖² / n², with G the `similarities` of the last stage.

    torchdistill scales G's rows to a sum of absolute values of 1, at which the published weight means something else:
    that step is taken here. Source: Tung and Mori (2019), equations 2 to 4.
    """
    from torchdistill.losses.mid_level import SPKDLoss

    from kdlib.students.frameworks.base import outputs

    made = SPKDLoss("z", "z", "batchmean")
    made.matmul_and_normalize = similarities
    total: Tensor = made(outputs(z=mine.stages[-1]), outputs(z=theirs.stages[-1]))
    return total


class SP(Framework):
    """Similarities of the images of a batch, as scaled products (Tung and Mori, 2019)."""

    name = "sp"
    meaning = "Similarities of the images of a batch, as scaled products (Tung and Mori, 2019)."
    title = "SP"
    weight = 3000.0
    weights = {"digits": 1.0}

    def build(self, both: Both) -> Auxiliary:
        """Return the loss of both networks' features."""
        from kdlib.students.frameworks.base import Relational

        return Relational(both.teacher, loss)
