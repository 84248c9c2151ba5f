"""DKD: the two parts of the Kullback-Leibler divergence, target class and others, weighted apart. (No torch.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdlib.students.frameworks.framework import Framework

if TYPE_CHECKING:
    from torch import Tensor

    from kdlib.students.frameworks.framework import Tempered


def decoupled(logits: Tensor, labels: Tensor, probs: Tensor, student_temperature: float) -> tuple[Tensor, Tensor]:
    """Return TCKD and NCKD, means over the batch in nats: KL(q ‖ p) = TCKD + (1 - q_y) NCKD for every image.

    TCKD = KL((q_y, 1 - q_y) ‖ (p_y, 1 - p_y)) and NCKD = KL(q̂ ‖ p̂), with q̂ and p̂ the distributions over the classes
    other than y, and p = softmax(z / S).

    Args:
        logits: the student's z `(n, classes)`.
        labels: y `(n,)`.
        probs: the teacher's q `(n, classes)`, tempered already.

    Source: Zhao et al. (2022), equations 4 to 6.
    """
    import torch
    from torch.nn import functional as F

    logs = F.log_softmax(logits / student_temperature, 1)
    target = F.one_hot(labels, logits.shape[1]).bool()
    own = logs[target]
    others = torch.logsumexp(logs.masked_fill(target, -torch.inf), 1)  # ln (1 - p_y) without cancellation
    theirs = probs.masked_fill(target, 0)
    rest = theirs.sum(1)
    inner = theirs / rest.clamp_min(torch.finfo(rest.dtype).tiny)[:, None]
    tckd = torch.xlogy(probs[target], probs[target]) + torch.xlogy(rest, rest) - probs[target] * own - rest * others
    nckd = (torch.xlogy(inner, inner) + inner * (others[:, None] - logs)).sum(1)
    return tckd.mean(), nckd.mean()


class DKD(Framework):
    """The teacher's class probabilities, those of the other classes weighted apart (Zhao et al., 2022)."""

    name = "dkd"
    title = "DKD"
    weight = 8.0  # Zhao et al. (2022) take 2 to 8 by pair
    weights = {"digits": 1.0}
    follows = False

    def answer(self, logits: Tensor, labels: Tensor, probs: Tensor, how: Tempered) -> Tensor:
        """Return (1 - α) CE + α T S (TCKD + β NCKD).

        torchdistill has no such loss: this is our own. The published code, where T = S, multiplies by T² too; its
        labels always have weight 1, and both terms rise from 0 in the first 20 epochs. Source: equation 7.
        """
        from torch.nn import functional as F

        logits = logits.float()
        hard = F.cross_entropy(logits, labels) if how.kd_weight < 1 else logits.new_zeros(())
        tckd, nckd = decoupled(logits, labels, probs, how.student_temperature)
        soft = how.temperature * how.student_temperature * (tckd + how.weight * nckd)
        return (1 - how.kd_weight) * hard + how.kd_weight * soft
