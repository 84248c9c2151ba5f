"""What every framework that looks inside the teacher is: a loss on both networks' features, with what it trains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdlib import models
from kdlib.models.network import Network
from kdlib.training.loop import Batch

Shape = tuple[int, int]
"""Channels and side in pixels of a stage."""


@dataclass(frozen=True)
class Features:
    """What a network computes of a batch, float32: `stages` `(n, c, h, w)` after the stem, `embedding` `(n, d)`,
    `logits` `(n, classes)`."""

    stages: list[Tensor]
    embedding: Tensor
    logits: Tensor


def features(network: Network, images: Tensor) -> Features:
    """Return what a network computes of images, with the same operations as its forward pass."""
    stages = network.stages(images)
    embedding = stages[-1].mean((2, 3))
    logits: Tensor = network.head(embedding)
    return Features([stage.float() for stage in stages[1:]], embedding.float(), logits.float())


def shapes_of(network: Network, side: int) -> list[Shape]:
    """Return the channels and side of every stage after the stem, for images of `side` pixels; nothing is computed."""
    with torch.device("meta"):
        shadow = models.build(network.name, network.classes, network.channels, side).eval()
        with torch.no_grad():
            stages = shadow.stages(torch.empty(1, network.channels, side, side))
    return [(stage.shape[1], stage.shape[2]) for stage in stages[1:]]


def paired(mine: Sequence[Tensor], theirs: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Pair the stages of two networks in order; where their sides differ, the larger map is averaged to the smaller.

    Source: the public benchmark of Tian et al. (2020), which compares networks of different families so.
    """

    def smaller(stage: Tensor, side: int) -> Tensor:
        return stage if stage.shape[-1] <= side else F.adaptive_avg_pool2d(stage, side)

    pairs = list(zip(mine, theirs, strict=True))
    return [(smaller(s, t.shape[-1]), smaller(t, s.shape[-1])) for s, t in pairs]


@dataclass(frozen=True)
class Both:
    """Student and teacher, and the rows of the training split that the student sees, with the whole split's labels."""

    student: Network
    teacher: Network
    side: int
    """Pixels of an image a side."""
    rows: Tensor
    labels: Tensor

    @property
    def shapes(self) -> tuple[list[Shape], list[Shape]]:
        """Return the stages' shapes of the student and of the teacher."""
        return shapes_of(self.student, self.side), shapes_of(self.teacher, self.side)


DIMENSIONS = 128
"""Width of the embeddings in the benchmark of Tian et al. (2020); small students get twice their own width."""


def dimensions(student: Network) -> int:
    """Return the width of learnt embeddings: the published one wherever the student has 64 features or more."""
    return min(DIMENSIONS, 2 * student.head.in_features)


def outputs(**values: Any) -> dict[str, dict[str, Any]]:
    """Return values as torchdistill's losses take them: the outputs of modules by name."""
    return {name: {"output": value, "input": value} for name, value in values.items()}


def pairs_of(count: int, key: str) -> dict[str, Any]:
    """Return torchdistill's option `key` that pairs the outputs named s0, s1, ... with t0, t1, ..."""
    return {
        key: {
            str(i): {"student": {"io": "output", "path": f"s{i}"}, "teacher": {"io": "output", "path": f"t{i}"}}
            for i in range(count)
        }
    }


class Auxiliary(nn.Module):
    """A framework's loss on a batch, with the modules and memories that it trains beside the student.

    Its parameters and buffers are trained, checkpointed and resumed with the student's; the teacher is none of them.
    """

    def __init__(self, teacher: Network) -> None:
        super().__init__()
        self._teacher = (teacher,)  # in a tuple: no submodule, so it is neither trained nor saved

    def views(self, images: Tensor) -> Tensor:
        """Return the images that both networks see, the batch's own `(n, channels, height, width)` first."""
        return images

    def compare(self, batch: Batch, mine: Features, theirs: Features) -> Tensor:
        """Return the framework's loss, a scalar; a framework overrides it."""
        raise NotImplementedError

    def forward(self, network: Network, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the student's logits `(n, classes)` of the batch and the framework's loss."""
        seen = self.views(batch.images)
        mine = features(network, seen)
        with torch.no_grad():
            theirs = features(self._teacher[0], seen)
        with torch.autocast(seen.device.type, enabled=False):  # small differences times large weights
            return mine.logits[: len(batch.labels)], self.compare(batch, mine, theirs)


class Relational(Auxiliary):
    """A framework whose loss is a function of both networks' features alone, with nothing to train."""

    def __init__(self, teacher: Network, loss: Callable[[Features, Features], Tensor]) -> None:
        super().__init__(teacher)
        self._loss = loss

    def compare(self, batch: Batch, mine: Features, theirs: Features) -> Tensor:
        """Return the loss of the features."""
        return self._loss(mine, theirs)
