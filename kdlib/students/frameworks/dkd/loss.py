"""DKD: the two parts of the Kullback-Leibler divergence, target class and others, with weights of their own."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


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


def dkd_loss(
    logits: Tensor,
    labels: Tensor,
    probs: Tensor,
    kd_weight: float,
    temperature: float,
    student_temperature: float,
    framework_weight: float,
) -> Tensor:
    """Return (1 - α) CE + α T S (TCKD + β NCKD), with α = `kd_weight` and β = `framework_weight`.

    torchdistill has no such loss: this is our own. The published code, where T = S, multiplies by T² too; its labels
    always have weight 1, and both terms rise from 0 in the first 20 epochs. Shapes as in `decoupled`.

    Source: Zhao et al. (2022), equation 7.
    """
    logits = logits.float()
    hard = F.cross_entropy(logits, labels) if kd_weight < 1 else logits.new_zeros(())
    tckd, nckd = decoupled(logits, labels, probs, student_temperature)
    soft = temperature * student_temperature * (tckd + framework_weight * nckd)
    return (1 - kd_weight) * hard + kd_weight * soft
