"""What a framework that looks inside the teacher sees: both networks, their features and their stages in pairs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdlib import models
from kdlib.models.network import Network
from kdlib.students.frameworks.framework import Framework
from kdlib.training.loop import Batch

Shape = tuple[int, int]
"""Channels and side in pixels of a stage."""
DIMENSIONS = 128
"""Width of the embeddings in the benchmark of Tian et al. (2020); small students get twice their own width."""


@dataclass(frozen=True)
class Features:
    """What a network computes of a batch, float32: `stages` `(n, c, h, w)` after the stem, `embedding` `(n, d)`,
    `logits` `(n, classes)`."""

    stages: list[Tensor]
    embedding: Tensor
    logits: Tensor

    def paired(self, theirs: Features) -> list[tuple[Tensor, Tensor]]:
        """Pair the stages with another network's, in order; of other sides, the larger is averaged to the smaller.

        Source: the public benchmark of Tian et al. (2020), which compares networks of different families so.
        """

        def smaller(stage: Tensor, side: int) -> Tensor:
            return stage if stage.shape[-1] <= side else F.adaptive_avg_pool2d(stage, side)

        both = zip(self.stages, theirs.stages, strict=True)
        return [(smaller(s, t.shape[-1]), smaller(t, s.shape[-1])) for s, t in both]


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

    def embeddings(self) -> tuple[nn.Linear, nn.Linear]:
        """Return linear maps of the student's and the teacher's features to vectors of one width, to be learnt."""
        width = min(DIMENSIONS, 2 * self.student.head.in_features)
        return nn.Linear(self.student.head.in_features, width), nn.Linear(self.teacher.head.in_features, width)


@dataclass(frozen=True)
class Following:
    """A framework at work: it compares a student's features with one teacher's."""

    framework: Framework
    teacher: Network
    built: nn.Module
    """Trained, checkpointed and resumed with the student, which the teacher is not."""

    def __call__(self, student: Network, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the student's logits `(n, classes)` of the batch and the framework's loss."""
        seen = self.framework.views(batch.images)
        mine = features(student, seen)
        with torch.no_grad():
            theirs = features(self.teacher, seen)
        with torch.autocast(seen.device.type, enabled=False):  # small differences times large weights
            return mine.logits[: len(batch.labels)], self.framework.compare(mine, theirs, self.built, batch)
