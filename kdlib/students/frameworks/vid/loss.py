"""VID: the student's stages tell as much as they can of the teacher's."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from kdlib.models.network import Network
from kdlib.students.frameworks.base import Auxiliary, Features, Shape, outputs, paired, pairs_of
from kdlib.training.loop import Batch


class Information(Auxiliary):
    """Compare stages by a Gaussian: Σ over stages of the mean of ½ ((t - μ(s))² / σ² + ln σ²).

    μ, three 1×1 convolutions, and σ², one number a channel of the teacher, are trained with the student; loss and
    regressors are torchdistill's, with the settings of the benchmark of Tian et al. (2020). The loss may be negative.
    Source: Ahn et al. (2019), equations 5 and 6.
    """

    def __init__(self, teacher: Network, mine: Sequence[Shape], theirs: Sequence[Shape]) -> None:
        from torchdistill.losses.mid_level import VIDLoss
        from torchdistill.models.wrapper import Regressor4VID

        super().__init__(teacher)
        self.regressors = nn.ModuleList(
            Regressor4VID(width, wanted, wanted, eps=1e-5, init_pred_var=5.0)
            for (width, _), (wanted, _) in zip(mine, theirs, strict=True)
        )
        self.loss = VIDLoss(**pairs_of(len(mine), "feature_pairs"))

    def compare(self, batch: Batch, mine: Features, theirs: Features) -> Tensor:
        """Return the negative log-likelihood of the teacher's stages."""
        pairs = paired(mine.stages, theirs.stages)
        guesses = [regressor(s) for regressor, (s, _) in zip(self.regressors, pairs, strict=True)]
        students = outputs(**{f"s{i}": guess for i, guess in enumerate(guesses)})
        teachers = outputs(**{f"t{i}": t for i, (_, t) in enumerate(pairs)})
        total: Tensor = self.loss(students, teachers)
        return total
