"""CC: the student's images correlate with each other as the teacher's do, in learnt embeddings. (No torch.)"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from kdlib.students.frameworks.framework import Framework

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdlib.students.frameworks.features import Both, Features
    from kdlib.training.loop import Batch

GAMMA, ORDER = 0.4, 2


def kernel(embedding: Tensor) -> Tensor:
    """Return K `(n, n)` of an embedding f `(n, d)`: e^(-2γ) Σ_{p ≤ 2} (2γ)^p / p! (f_i · f_j)^p, with γ = 0.4."""
    products = embedding @ embedding.T
    terms = [(2 * GAMMA) ** p / math.factorial(p) * products**p for p in range(1, ORDER + 1)]
    return math.exp(-2 * GAMMA) * (1 + sum(terms, products.new_zeros(())))


class CC(Framework):
    """Correlations of the images of a batch, by a Gaussian kernel (Peng et al., 2019)."""

    name = "cc"
    title = "CC"
    weight = 0.02
    weights = {"digits": 0.02}

    def build(self, both: Both) -> nn.Module:
        """Return the embeddings of both networks' features."""
        from torch import nn

        student, teacher = both.embeddings()
        return nn.ModuleDict({"student_embedding": student, "teacher_embedding": teacher})

    def compare(self, mine: Features, theirs: Features, built: Any, batch: Batch) -> Tensor:
        """Return ‖K_s - K_t‖ / n², with K the kernel of the embeddings.

        The kernel is the paper's Taylor series of a Gaussian one, as torchdistill has it in a loop over rows: of
        embeddings as they are, where only those of norm 1 make it a Gaussian, and unsquared, where the paper squares.
        The benchmark whose weight it has takes a shorter formula. Source: Peng et al. (2019), equations 4 to 8.
        """
        student = kernel(built["student_embedding"](mine.embedding))
        teacher = kernel(built["teacher_embedding"](theirs.embedding))
        return student.dist(teacher) / len(student) ** 2
