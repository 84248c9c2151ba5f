"""FitNet: the student's middle stage, through a regressor, meets the teacher's."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from kdlib.models.network import Network, initialise
from kdlib.students.frameworks.base import Auxiliary, Features, Shape, paired
from kdlib.training.loop import Batch


class Hint(Auxiliary):
    """Compare the middle stages: the mean of (r(s) - t)² over all their values.

    r is a 1×1 convolution with batch norm and ReLU, trained with the student. torchdistill has no such loss, a plain
    mean squared error: this is our own. One stage of training, as in the benchmark of Tian et al. (2020); the paper
    trains the student up to its hint first. Source: Romero et al. (2015), equation 3.
    """

    def __init__(self, teacher: Network, mine: Sequence[Shape], theirs: Sequence[Shape]) -> None:
        super().__init__(teacher)
        self.stage = (len(mine) - 1) // 2
        width, wanted = mine[self.stage][0], theirs[self.stage][0]
        self.regressor = nn.Sequential(nn.Conv2d(width, wanted, 1, bias=False), nn.BatchNorm2d(wanted), nn.ReLU())
        initialise(self.regressor)

    def compare(self, batch: Batch, mine: Features, theirs: Features) -> Tensor:
        """Return the mean squared error of the regressor's output."""
        ((student, hint),) = paired([mine.stages[self.stage]], [theirs.stages[self.stage]])
        return F.mse_loss(self.regressor(student), hint)
