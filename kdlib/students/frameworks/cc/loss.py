"""CC: the student's images correlate with each other as the teacher's do, in learnt embeddings."""

from __future__ import annotations

import math

from torch import Tensor, nn

from kdlib.models.network import Network
from kdlib.students.frameworks.base import Auxiliary, Features, dimensions, outputs
from kdlib.training.loop import Batch

GAMMA, ORDER = 0.4, 2


def kernel(embedding: Tensor) -> Tensor:
    """Return K `(n, n)` of an embedding f `(n, d)`: e^(-2γ) Σ_{p ≤ 2} (2γ)^p / p! (f_i · f_j)^p, with γ = 0.4."""
    products = embedding @ embedding.T
    terms = [(2 * GAMMA) ** p / math.factorial(p) * products**p for p in range(1, ORDER + 1)]
    return math.exp(-2 * GAMMA) * (1 + sum(terms, products.new_zeros(())))


class Correlation(Auxiliary):
    """Compare the kernels of both networks: ‖K_s - K_t‖ / n².

    Their embeddings are linear in the features and trained with the student. The loss is torchdistill's, the paper's
    Taylor series of a Gaussian kernel; the benchmark whose weight it has takes a shorter formula.
    Source: Peng et al. (2019), equations 4 to 8.
    """

    def __init__(self, student: Network, teacher: Network) -> None:
        from torchdistill.losses.mid_level import CCKDLoss

        super().__init__(teacher)
        width = dimensions(student)
        self.student_embedding = nn.Linear(student.head.in_features, width)
        self.teacher_embedding = nn.Linear(teacher.head.in_features, width)
        self.loss = CCKDLoss("f", "f", {"type": "gaussian", "gamma": GAMMA, "max_p": ORDER}, "batchmean")
        self.loss.compute_cc_mat_by_gaussian_rbf = kernel  # theirs is a loop over rows, ten times as slow

    def compare(self, batch: Batch, mine: Features, theirs: Features) -> Tensor:
        """Return the distance of the correlations of both embeddings."""
        total: Tensor = self.loss(
            outputs(f=self.student_embedding(mine.embedding)), outputs(f=self.teacher_embedding(theirs.embedding))
        )
        return total
