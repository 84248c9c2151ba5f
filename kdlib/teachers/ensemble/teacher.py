"""What an ensemble answers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from kdlib.teachers.contract import Teacher


class Average(Teacher):
    """Give every member's outputs `(members, n, classes)`, to be tempered and then averaged."""

    def __init__(self, members: Sequence[Teacher], name: str) -> None:
        super().__init__(members[0].network, members[0].hardware, name)
        self.members = tuple(members)

    def _outputs(self, x: Tensor, samples: int) -> Tensor:
        return torch.cat([member._outputs(x, samples) for member in self.members])
