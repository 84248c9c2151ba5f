"""CRD: an image's two embeddings, the student's and the teacher's, are told from those of other images."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdlib.students.frameworks.features import Both
from kdlib.training.loop import Batch

NEGATIVES, OF = 16_384, 50_000
"""Images of other classes that each is compared with, and the training images they were chosen from, as published."""

TEMPERATURE, MOMENTUM = 0.07, 0.5


def negatives(count: int) -> int:
    """Return how many images of other classes an image is compared with: the published share of `count` images."""
    return max(1, min(NEGATIVES, round(count * NEGATIVES / OF)))


class Contrast(nn.Module):
    """Tell an image's embeddings from those of k images of other classes, the student's and the teacher's in turn.

    L = -mean_i [ln p_i / (p_i + k/N + ε) + Σ_j ln (k/N) / (p_j + k/N + ε)], p_j = exp(f · m_j / 0.07) / Z. f is one
    network's linear embedding of image i, scaled to norm 1; m the other's, from a memory of all N training images
    that follows at a rate of 0.5. Embeddings are trained, and memories and Z (from the first batch) kept, with the
    student. Loss, memories and embeddings are torchdistill's; two of its steps are taken here: the drawing of
    negatives, which fails there on an attribute that does not exist, and the scores. Negatives are drawn with
    replacement.

    Source: Tian et al. (2020), section 3.2; the memories' loss as in its public benchmark.
    """

    position: Tensor
    by_class: Tensor
    first: Tensor
    count: Tensor

    def __init__(self, both: Both) -> None:
        from torchdistill.losses.mid_level import CRDLoss
        from torchdistill.models.wrapper import Normalizer4CRD

        super().__init__()
        student, teacher = both.embeddings()
        self.student_embedding, self.teacher_embedding = Normalizer4CRD(student), Normalizer4CRD(teacher)
        seen, images = both.labels[both.rows], len(both.rows)
        self.negatives = negatives(images)
        self.loss = CRDLoss(
            "s", "which", "t", student.out_features, images, self.negatives, images, TEMPERATURE, MOMENTUM
        )
        position = torch.zeros(len(both.labels), dtype=torch.long)
        position[both.rows] = torch.arange(images)
        count = torch.bincount(seen, minlength=both.student.classes)
        by_class, first = torch.argsort(seen, stable=True), count.cumsum(0) - count
        # functions of the data: nothing that a checkpoint must hold
        for name, values in {"position": position, "by_class": by_class, "first": first, "count": count}.items():
            self.register_buffer(name, values, persistent=False)

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

    def forward(self, mine: Tensor, theirs: Tensor, batch: Batch) -> Tensor:
        """Return the loss of the features `(n, d)` of student and teacher, in both directions."""
        own = self.position[batch.index]
        which = torch.cat([own[:, None], self.draw(batch.labels)], 1)
        embeddings = self.student_embedding(mine), self.teacher_embedding(theirs)
        both = [self.loss.compute_contrast_loss(score).sum() for score in self.scores(embeddings, own, which)]
        total: Tensor = both[0] + both[1]
        return total
