"""HSAKD: at every stage, student and teacher tell the class and by how much the image was turned. (No torch.)"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kdlib.students.frameworks.framework import Framework

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdlib.students.frameworks.features import Both, Features, Shape
    from kdlib.training.loop import Batch

TURNS = 4
TEMPERATURE = 3.0
"""Of both networks, in every term, as published."""


def divergence(logits: Tensor, wanted: Tensor) -> Tensor:
    """Return T² KL(softmax(wanted / T) ‖ softmax(logits / T)) at T = 3, a mean over rows in nats."""
    from torch.nn import functional as F

    target, found = (F.log_softmax(one / TEMPERATURE, 1) for one in (wanted, logits))
    return TEMPERATURE**2 * F.kl_div(found, target, reduction="batchmean", log_target=True)


def head(shapes: Sequence[Shape], classes: int) -> nn.Module:
    """Return a classifier of a stage: a convolution for each later stage, of its width and side, then a linear map."""
    from torch import nn

    from kdlib.models.network import conv_norm_relu, initialise

    (width, side), *later = shapes
    layers: list[nn.Module] = []
    for wanted, smaller in later or [(width, side)]:
        layers.append(conv_norm_relu(width, wanted, stride=max(1, side // smaller)))
        width, side = wanted, smaller
    made = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))
    initialise(made)
    return made


class HSAKD(Framework):
    """Class and quarter turn together, at every stage (Yang et al., 2021).

    Both networks see each image in four turns; the student's logits of the unturned ones are the batch's. torchdistill
    has no such loss: this is our own. The published teacher is trained with its heads; here teachers are what they
    are, so the heads of both are trained with the student, the teacher's by CE on its fixed stages.
    """

    name = "hsakd"
    title = "HSAKD"
    weight = 1.0
    weights = {"digits": 5.0}
    by_stage = True

    def build(self, both: Both) -> nn.Module:
        """Return the heads of every stage of both networks."""
        from torch import nn

        classes = TURNS * both.teacher.classes
        heads = {
            name: nn.ModuleList(head(shapes[i:], classes) for i in range(len(shapes)))
            for name, shapes in zip(("student_heads", "teacher_heads"), both.shapes, strict=True)
        }
        return nn.ModuleDict(heads)

    def views(self, images: Tensor) -> Tensor:
        """Return the images in their four turns `(4 n, channels, side, side)`, the unturned ones first."""
        import torch

        return torch.cat([torch.rot90(images, turn, (2, 3)) for turn in range(TURNS)])

    def compare(self, mine: Features, theirs: Features, built: Any, batch: Batch) -> Tensor:
        """Return Σ_l [T² KL(q_t^l ‖ q_s^l) + CE(q_t^l, (y, r))] + T² KL(p_t ‖ p_s), means over the 4n turned images.

        q^l is the distribution over class y and quarter turn r at stage l, p the network's own over the classes.
        Source: Yang et al. (2021), equations 4 to 9.
        """
        import torch
        from torch.nn import functional as F

        joint = torch.cat([TURNS * batch.labels + turn for turn in range(TURNS)])
        total = divergence(mine.logits, theirs.logits)
        both = zip(built["student_heads"], mine.stages, built["teacher_heads"], theirs.stages, strict=True)
        for student_head, student, teacher_head, teacher in both:
            wanted = teacher_head(teacher)
            total = total + F.cross_entropy(wanted, joint) + divergence(student_head(student), wanted.detach())
        return total
