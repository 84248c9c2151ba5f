"""A kind of teacher and a framework from outside the package, as `KDLIB_PLUGINS` brings them in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from kdlib.base.config import parameter
from kdlib.students.frameworks import FRAMEWORKS
from kdlib.students.frameworks.framework import Framework, Tempered
from kdlib.teachers.kind import DOT, Kind, Mark, TeacherConfig
from kdlib.teachers.kinds import KINDS

if TYPE_CHECKING:
    from torch import Tensor

    from kdlib.teachers.contract import Teacher
    from kdlib.teachers.making import Made, Making


class UniformConfig(TeacherConfig):
    """How far the answer leans to the first class."""

    lean: float = parameter(0.0, "uniform: log-odds of the first class", ge=0, le=10)


class Uniform(Kind):
    """The same answer to every image: uniform, but for the first class."""

    name = "uniform"
    meaning = "Control: the same class probabilities for every image."
    title = "uniform"
    mark = Mark("#4d4d4d", "1", DOT, "//\\\\")
    config_type = UniformConfig
    trains = one_network = followed = False

    def fit(self, making: Making) -> Made:
        """Keep the log-odds."""
        import torch

        from kdlib.teachers.making import Made

        config = making.config
        assert isinstance(config, UniformConfig)
        tensors = {"lean": torch.tensor(config.lean)}
        return Made(self.restore(making, tensors), tensors)

    def restore(self, making: Making, tensors: Mapping[str, Tensor]) -> Teacher:
        """Return the teacher that answers so."""
        import torch
        from torch import nn

        from kdlib.teachers.contract import Teacher

        logits = torch.zeros(len(making.classes))
        logits[0] = tensors["lean"]

        class Constant(Teacher):
            def _outputs(self, x: Tensor, samples: int) -> Tensor:
                return logits.expand(1, len(x), -1)

        return Constant(nn.Identity(), making.hardware, making.name)


class Brier(Framework):
    """The squared distance of the class probabilities, in place of their divergence."""

    name = "brier"
    title = "Brier"
    weight = 2.0
    follows = False

    def answer(self, logits: Tensor, labels: Tensor, probs: Tensor, how: Tempered) -> Tensor:
        """Return (1 - α) CE + α β mean Σ (q - p)²."""
        from torch.nn import functional as F

        logits = logits.float()
        apart = (logits.softmax(1) - probs).square().sum(1).mean()
        return (1 - how.kd_weight) * F.cross_entropy(logits, labels) + how.kd_weight * how.weight * apart


KINDS.add(Uniform())
FRAMEWORKS.add(Brier())
