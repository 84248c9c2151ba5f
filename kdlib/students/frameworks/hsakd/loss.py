"""HSAKD: at every stage, student and teacher tell the class and by how much the image was turned."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdlib.models.network import Network, conv_norm_relu, initialise
from kdlib.students.frameworks.base import Auxiliary, Features, Shape
from kdlib.training.loop import Batch

TURNS = 4
TEMPERATURE = 3.0
"""Of both networks, in every term, as published."""


def divergence(logits: Tensor, wanted: Tensor) -> Tensor:
    """Return T² KL(softmax(wanted / T) ‖ softmax(logits / T)) at T = 3, a mean over rows in nats."""
    target = F.log_softmax(wanted / TEMPERATURE, 1)
    found = F.log_softmax(logits / TEMPERATURE, 1)
    return TEMPERATURE**2 * F.kl_div(found, target, reduction="batchmean", log_target=True)


def head(shapes: Sequence[Shape], classes: int) -> nn.Sequential:
    """Return a classifier of a stage: a convolution for each later stage, of its width and side, then a linear map."""
    (width, side), *later = shapes
    layers: list[nn.Module] = []
    for wanted, smaller in later or [(width, side)]:
        layers.append(conv_norm_relu(width, wanted, stride=max(1, side // smaller)))
        width, side = wanted, smaller
    made = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))
    initialise(made)
    return made


class Rotations(Auxiliary):
    """Compare joint distributions over class and quarter turn, at every stage, and the class's own, at every turn.

    L = Σ_l [T² KL(q_t^l ‖ q_s^l) + CE(q_t^l, (y, r))] + T² KL(p_t ‖ p_s), means over the 4n turned images, T = 3.
    Both networks see each image in four turns; the student's logits of the unturned ones are the batch's. torchdistill
    has no such loss: this is our own. The published teacher is trained with its heads; here teachers are what they
    are, so the heads of both are trained with the student, the teacher's by CE on its fixed stages.

    Source: Yang et al. (2021), equations 4 to 9.
    """

    def __init__(self, teacher: Network, mine: Sequence[Shape], theirs: Sequence[Shape]) -> None:
        super().__init__(teacher)
        classes = TURNS * teacher.classes
        self.student_heads = nn.ModuleList(head(mine[i:], classes) for i in range(len(mine)))
        self.teacher_heads = nn.ModuleList(head(theirs[i:], classes) for i in range(len(theirs)))

    def views(self, images: Tensor) -> Tensor:
        """Return the images in their four turns `(4 n, channels, side, side)`, the unturned ones first."""
        return torch.cat([torch.rot90(images, turn, (2, 3)) for turn in range(TURNS)])

    def compare(self, batch: Batch, mine: Features, theirs: Features) -> Tensor:
        """Return the divergences, and the cross-entropy of the teacher's heads."""
        joint = torch.cat([TURNS * batch.labels + turn for turn in range(TURNS)])
        total = divergence(mine.logits, theirs.logits)
        both = zip(self.student_heads, mine.stages, self.teacher_heads, theirs.stages, strict=True)
        for student_head, student, teacher_head, teacher in both:
            wanted = teacher_head(teacher)
            total = total + F.cross_entropy(wanted, joint) + divergence(student_head(student), wanted.detach())
        return total
