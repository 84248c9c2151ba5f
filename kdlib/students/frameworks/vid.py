"""VID: the student's stages tell as much as they can of the teacher's. (No torch.)"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdlib.students.frameworks.framework import Framework

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdlib.students.frameworks.features import Both, Features
    from kdlib.training.loop import Batch


class VID(Framework):
    """Mutual information of the stages, by its variational bound (Ahn et al., 2019).

    Each stage of the teacher has a Gaussian given the student's: the mean μ(s), three 1×1 convolutions, and σ², one
    number a channel, are torchdistill's regressors with the settings of the benchmark of Tian et al. (2020).
    """

    name = "vid"
    title = "VID"
    weight = 1.0
    weights = {"digits": 5.0}
    by_stage = True

    def build(self, both: Both) -> nn.Module:
        """Return a regressor for each stage."""
        from torch import nn
        from torchdistill.models.wrapper import Regressor4VID

        widths = [(width, wanted) for (width, _), (wanted, _) in zip(*both.shapes, strict=True)]
        made = (Regressor4VID(width, wanted, wanted, eps=1e-5, init_pred_var=5.0) for width, wanted in widths)
        return nn.ModuleDict({"regressors": nn.ModuleList(made)})

    def compare(self, mine: Features, theirs: Features, built: Any, batch: Batch) -> Tensor:
        """Return Σ over stages of the mean of ½ ((t - μ(s))² / σ² + ln σ²), which may be negative.

        Source: Ahn et al. (2019), equations 5 and 6.
        """
        total = mine.logits.new_zeros(())
        for regressor, (s, t) in zip(built["regressors"], mine.paired(theirs), strict=True):
            mean, variance = regressor(s)
            total = total + (0.5 * ((mean - t) ** 2 / variance + variance.log())).mean()
        return total
