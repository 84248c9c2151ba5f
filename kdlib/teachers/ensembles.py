"""Averages of point estimates: over networks from different seeds, and over views of the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from kdlib.base.config import Augmentation, TeacherConfig, TeacherKind
from kdlib.data.augment import pad_of, view
from kdlib.teachers.contract import Made, Making, Teacher, check_tensors

FIRST_PASS = 1_000_000
"""Views that are averaged are those of passes that no training reaches."""


class Ensemble(Teacher):
    """Give every member's outputs `(members, n, classes)`. Source: Lakshminarayanan et al., NeurIPS 2017."""

    def __init__(self, members: Sequence[Teacher], name: str) -> None:
        super().__init__(members[0].network, members[0].hardware, name)
        self.members = tuple(members)

    def _outputs(self, x: Tensor, samples: int) -> Tensor:
        return torch.cat([member._outputs(x, samples) for member in self.members])


class AugmentationAveraged(Teacher):
    """Give a network's outputs on views of the image `(views, n, classes)`, the first of them the image itself.

    All images are cropped and flipped alike within a view, so an image's answer does not depend on its batch.
    """

    def __init__(self, parent: Teacher, views: int, augmentation: Augmentation, seed: int, pad: int, name: str) -> None:
        super().__init__(parent.network, parent.hardware, name)
        self.parent, self.views, self.augmentation, self.seed, self.pad = parent, views, augmentation, seed, pad

    def _outputs(self, x: Tensor, samples: int) -> Tensor:
        index = torch.zeros(len(x), dtype=torch.long, device=x.device)
        seen = [view(x, self.augmentation, self.seed, FIRST_PASS + k, index, self.pad) for k in range(self.views - 1)]
        return torch.cat([self.parent._outputs(images, 1) for images in (x, *seen)])


def fit(making: Making) -> Made:
    """Average the parents; nothing is trained and nothing kept."""
    return Made(restore(making, {}), {})


def restore(making: Making, tensors: Mapping[str, Tensor]) -> Teacher:
    """Return the average of the parents' outputs."""
    config = making.config
    assert isinstance(config, TeacherConfig)
    check_tensors({}, tensors, f"{making.name} keeps no tensors")
    if config.kind is TeacherKind.ENSEMBLE:
        return Ensemble(making.parents, making.name)
    (parent,) = making.parents
    pad = pad_of(config.dataset, making.shape[-1])
    return AugmentationAveraged(
        parent, config.views, config.augmentation or Augmentation.NONE, config.seed, pad, making.name
    )
