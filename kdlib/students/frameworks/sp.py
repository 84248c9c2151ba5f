"""SP: images are as similar to each other as for the teacher, in products. (No torch.)"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdlib.students.frameworks.framework import Framework

if TYPE_CHECKING:
    from torch import Tensor

    from kdlib.students.frameworks.features import Features
    from kdlib.training.loop import Batch


class SP(Framework):
    """Similarities of the images of a batch, as scaled products (Tung and Mori, 2019)."""

    name = "sp"
    title = "SP"
    weight = 3000.0
    weights = {"digits": 1.0}

    def compare(self, mine: Features, theirs: Features, built: Any, batch: Batch) -> Tensor:
        """Return ‖G_s - G_t‖² / n², with G `(n, n)` = Z Zᵀ of the last stage Z `(n, c h w)`, each row scaled to norm 1.

        torchdistill scales G's rows to a sum of absolute values of 1, at which the published weight means something
        else. Source: Tung and Mori (2019), equations 2 to 4.
        """
        from torch.nn import functional as F

        flat = [seen.stages[-1].flatten(1) for seen in (mine, theirs)]
        student, teacher = (F.normalize(z @ z.T, dim=1) for z in flat)
        total: Tensor = (teacher - student).norm() ** 2 / len(student) ** 2
        return total
