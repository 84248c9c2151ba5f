"""What a teacher answers that averages over views."""

from __future__ import annotations

import torch
from torch import Tensor

from kdlib.data.options import Augmentation
from kdlib.data.views import view
from kdlib.teachers.contract import Teacher

FIRST_PASS = 1_000_000
"""Views that are averaged are those of passes that no training reaches."""


class Views(Teacher):
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
