"""CRD: an image's two embeddings, the student's and the teacher's, are told from those of other images."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdlib.models.network import Network
from kdlib.students.frameworks.base import Auxiliary, Features, dimensions
from kdlib.training.loop import Batch

NEGATIVES, OF = 16_384, 50_000
"""Images of other classes that each is compared with, and the training images they were chosen from, as published."""

TEMPERATURE, MOMENTUM = 0.07, 0.5


def negatives(count: int) -> int:
    """Return how many images of other classes an image is compared with: the published share of `count` images."""
    return max(1, min(NEGATIVES, round(count * NEGATIVES / OF)))


class Contrast(Auxiliary):
    """Tell an image's embeddings from those of k images of other classes, the student's and the teacher's in turn.

    L = -mean_i [ln p_i / (p_i + k/N + ε) + Σ_j ln (k/N) / (p_j + k/N + ε)], p_j = exp(f · m_j / 0.07) / Z. f is one
    network's linear embedding of image i, scaled to norm 1; m the other's, from a memory of all N training images
    that follows at a rate of 0.5. Embeddings are trained, and memories and Z (from the first batch) kept, with the
    student. Loss, memories and embeddings are torchdistill's; two of its steps are taken here: the drawing of
    negatives, which fails there on an attribute that does not exist, and the scores. Negatives are drawn with
    replacement.

    Source: Tian et al. (2020), section 3.2; the memories' loss as in its public benchmark.

    Args:
        rows: `(N,)` rows of the training split that the student sees.
        labels: `(n,)` of the whole training split.
    """

    position: Tensor
    by_class: Tensor
    first: Tensor
    count: Tensor

    def __init__(self, student: Network, teacher: Network, rows: Tensor, labels: Tensor) -> None:
        from torchdistill.losses.mid_level import CRDLoss
        from torchdistill.models.wrapper import Normalizer4CRD

        super().__init__(teacher)
        width = dimensions(student)
        self.negatives = negatives(len(rows))
        self.student_embedding = Normalizer4CRD(nn.Linear(student.head.in_features, width))
        self.teacher_embedding = Normalizer4CRD(nn.Linear(teacher.head.in_features, width))
        self.loss = CRDLoss(
            "s", "which", "t", input_size=width, output_size=len(rows), num_negative_samples=self.negatives,
            num_samples=len(rows), temperature=TEMPERATURE, momentum=MOMENTUM,
        )  # fmt: skip
        seen, position = labels[rows], torch.zeros(len(labels), dtype=torch.long)
        position[rows] = torch.arange(len(rows))
        count = torch.bincount(seen, minlength=student.classes)
        # functions of the data: nothing that a checkpoint must hold
        self.register_buffer("position", position, persistent=False)
        self.register_buffer("by_class", torch.argsort(seen, stable=True), persistent=False)
        self.register_buffer("first", count.cumsum(0) - count, persistent=False)
        self.register_buffer("count", count, persistent=False)

    def draw(self, labels: Tensor) -> Tensor:
        """Return positions `(n, k)` of images of other classes than `labels` `(n,)`, from torch's random state."""
        own, first = self.count[labels][:, None], self.first[labels][:, None]
        others = len(self.by_class) - own
        drawn = torch.randint(2**62, (len(labels), self.negatives), device=labels.device) % others
        return self.by_class[drawn + own * (drawn >= first)]  # skip the class's own block

    def scores(self, embeddings: tuple[Tensor, Tensor], own: Tensor, which: Tensor) -> list[Tensor]:
        """Return p `(n, 1 + k)` of the student's embeddings and of the teacher's, and move the memories.

        As torchdistill has it, up to rounding, but by one product with the whole memory: a copy of the chosen rows
        would hold 1 + k embeddings for every image, half a gigabyte on CIFAR.
        """
        memories = (self.loss.memory_v1, self.loss.memory_v2)
        found = []
        for k, (embedding, other) in enumerate(zip(embeddings, reversed(memories), strict=True)):
            score = torch.exp((embedding @ other.clone().T).gather(1, which) / TEMPERATURE)
            with torch.no_grad():
                z = self.loss.params[2 + k]
                z.copy_(torch.where(z < 0, score.mean() * len(other), z))
            found.append(score / z.clone())
        with torch.no_grad():
            for embedding, memory in zip(embeddings, memories, strict=True):
                memory[own] = F.normalize(MOMENTUM * memory[own] + (1 - MOMENTUM) * embedding, dim=1)
        return found

    def compare(self, batch: Batch, mine: Features, theirs: Features) -> Tensor:
        """Return the contrastive loss of both directions."""
        own = self.position[batch.index]
        which = torch.cat([own[:, None], self.draw(batch.labels)], 1)
        embeddings = self.student_embedding(mine.embedding), self.teacher_embedding(theirs.embedding)
        both = [self.loss.compute_contrast_loss(score).sum() for score in self.scores(embeddings, own, which)]
        total: Tensor = both[0] + both[1]
        return total
