"""Test-time augmentation: a trained network's average over views of the image. (No torch.)"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from kdlib import data
from kdlib.base.config import parameter
from kdlib.base.errors import InputError
from kdlib.data.options import Augmentation
from kdlib.teachers.kind import DASHDOTDOT, Kind, Mark, TeacherConfig

if TYPE_CHECKING:
    from torch import Tensor

    from kdlib.teachers.contract import Teacher
    from kdlib.teachers.making import Making


FIRST_PASS = 1_000_000
"""Views that are averaged are those of passes that no training reaches."""


class ViewsConfig(TeacherConfig):
    """How many views there are."""

    views: int = parameter(8, "augmentation_averaged: views of each image", ge=2, le=1000)


class AugmentationAveraged(Kind):
    """The parent's outputs on views of the image, the first of them the image itself."""

    name = "augmentation_averaged"
    meaning = "Control: a trained network's average over views of the image."
    title = "augmentation averaged"
    mark = Mark("#e377a2", "p", DASHDOTDOT, "///")
    config_type = ViewsConfig
    trains = one_network = False
    starts_with = "parent"

    def check_parent(self, config: TeacherConfig, parent: TeacherConfig, name: str) -> None:
        """Refuse a parent that has seen no views."""
        if parent.augmentation is Augmentation.NONE:
            raise InputError(
                f"kind = {self.name!r} is refused: {name} was trained without augmentation, so there are no views to "
                "average."
            )

    def restore(self, making: Making, tensors: Mapping[str, Tensor]) -> Teacher:
        """Return the average of the parent's outputs."""
        from kdlib.teachers.making import check_tensors

        check_tensors({}, tensors, f"{making.name} keeps no tensors")
        config, (parent,) = making.config, making.parents
        pad = data.family_of(config.dataset).pad(making.shape[-1])
        return over_views(parent, config.views, config.augmentation, config.seed, pad, making.name)


def over_views(parent: Teacher, views: int, augmentation: Augmentation, seed: int, pad: int, name: str) -> Teacher:
    """Return the teacher of a network's outputs `(views, n, classes)`, the first of them on the image itself.

    All images are cropped and flipped alike within a view, so an image's answer does not depend on its batch.
    """
    import torch

    from kdlib.data.views import view
    from kdlib.teachers.contract import Derived

    def answer(x: Tensor, samples: int) -> Tensor:
        index = torch.zeros(len(x), dtype=torch.long, device=x.device)
        seen = [view(x, augmentation, seed, FIRST_PASS + k, index, pad) for k in range(views - 1)]
        return torch.cat([parent._outputs(images, 1) for images in (x, *seen)])

    return Derived((parent,), answer, name)
