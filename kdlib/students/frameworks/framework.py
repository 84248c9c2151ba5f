"""What a framework of distillation is: what a student learns from its teacher besides the labels. (No torch.)

loss = (1 - α) CE + α · answer + β · what it follows of the teacher's layers. The answer is T S KL(q ‖ p) unless a
framework has another; one that follows layers runs the teacher live on the student's views, while class probabilities
are its kept answers everywhere. A framework subclasses `Framework`, in a file or folder of its own, and is listed in
this folder's `__init__`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdlib.students.config import StudentConfig
    from kdlib.students.frameworks.features import Both, Features
    from kdlib.training.loop import Batch


@dataclass(frozen=True)
class Tempered:
    """The numbers of a loss on class probabilities: α, T, S and β."""

    kd_weight: float
    temperature: float
    student_temperature: float
    weight: float


class Framework:
    """A way to learn from a teacher."""

    name: ClassVar[str]
    title: ClassVar[str]
    """Its name in figures and tables."""
    weight: ClassVar[float | None] = None
    """β as published, most of them in the benchmark of Tian et al. (ICLR 2020)."""
    weights: ClassVar[Mapping[str, float]] = {}
    """β on a family of datasets, by the mean validation accuracy of the deterministic teacher's students (seeds 900 to
    902): the published weights are for maps of 8 to 32 pixels a side, digits have 2 to 8."""
    follows: ClassVar[bool] = True
    """Whether it follows the teacher's layers; else it needs class probabilities alone."""
    by_stage: ClassVar[bool] = False
    """Whether it compares the networks stage by stage, so that they must have as many."""

    def beta(self, family: str, published: bool) -> float | None:
        """Return β on a family of datasets where none is given; the published one with a paper's preset."""
        return self.weight if published else self.weights.get(family, self.weight)

    def check(self, config: StudentConfig, classes: int, omitted: int) -> None:
        """Refuse what is special to it.

        Args:
            classes: of the dataset.
            omitted: how many of them the student does not see.

        Raises:
            InputError: it cannot be used.
        """

    def answer(self, logits: Tensor, labels: Tensor, probs: Tensor, how: Tempered) -> Tensor:
        """Return the loss on labels and class probabilities, a mean over the batch in nats.

        (1 - α) CE(softmax(z), y) + α T S KL(q ‖ softmax(z / S)), with α = `kd_weight`. T · S keeps the size of the
        gradient when both temperatures rise; with T = S it is the familiar T².

        Args:
            logits: the student's z `(n, classes)`.
            labels: y `(n,)`.
            probs: the teacher's q `(n, classes)`, tempered by T already.

        Source: Hinton et al. (2015), section 2; with two temperatures as in Bayesian-KD's public code.
        """
        from torch.nn import functional as F

        logits = logits.float()
        hard = F.cross_entropy(logits, labels) if how.kd_weight < 1 else logits.new_zeros(())
        soft = F.kl_div(F.log_softmax(logits / how.student_temperature, 1), probs, reduction="batchmean")
        return (1 - how.kd_weight) * hard + how.kd_weight * how.temperature * how.student_temperature * soft

    def build(self, both: Both) -> nn.Module:
        """Return what it trains and keeps beside the student, drawn from torch's random state; here nothing."""
        from torch import nn

        return nn.Module()

    def views(self, images: Tensor) -> Tensor:
        """Return the images that both networks see, the batch's own `(n, channels, height, width)` first."""
        return images

    def compare(self, mine: Features, theirs: Features, built: Any, batch: Batch) -> Tensor:
        """Return its loss on the features of student and teacher, a scalar; `built` is what `build` gave."""
        raise NotImplementedError
