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
        from kdlib.teachers.augmentation_averaged.teacher import Views
        from kdlib.teachers.making import check_tensors

        check_tensors({}, tensors, f"{making.name} keeps no tensors")
        config, (parent,) = making.config, making.parents
        assert isinstance(config, ViewsConfig)
        pad = data.family_of(config.dataset).pad(making.shape[-1])
        seen = config.augmentation or Augmentation.NONE
        return Views(parent, config.views, seen, config.seed, pad, making.name)
