"""FitNet: the student's middle stage, through a regressor, meets the teacher's. (No torch.)"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kdlib.students.frameworks.framework import Framework

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdlib.students.frameworks.features import Both, Features
    from kdlib.training.loop import Batch


def middle(stages: Sequence[Any]) -> Any:
    """Return the middle one of the stages after the stem, of two the first."""
    return stages[(len(stages) - 1) // 2]


class FitNet(Framework):
    """The values of the middle stage, through a regressor (Romero et al., 2015).

    The regressor r is a 1×1 convolution with batch norm and ReLU, trained with the student: one stage of training, as
    in the benchmark of Tian et al. (2020); the paper trains the student up to its hint first.
    """

    name = "fitnet"
    title = "FitNet"
    weight = 100.0
    weights = {"digits": 1.0}
    by_stage = True

    def build(self, both: Both) -> nn.Module:
        """Return the regressor."""
        from torch import nn

        from kdlib.models.network import conv_norm_relu, initialise

        (width, _), (wanted, _) = (middle(shapes) for shapes in both.shapes)
        regressor = conv_norm_relu(width, wanted, kernel=1)
        initialise(regressor)
        return nn.ModuleDict({"regressor": regressor})

    def compare(self, mine: Features, theirs: Features, built: Any, batch: Batch) -> Tensor:
        """Return the mean of (r(s) - t)² over all values of the middle stages. Source: equation 3."""
        from torch.nn import functional as F

        student, hint = middle(mine.paired(theirs))
        return F.mse_loss(built["regressor"](student), hint)
