"""The loss of knowledge distillation, and tempering of class probabilities."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def kd_loss(
    logits: Tensor, labels: Tensor, probs: Tensor, kd_weight: float, temperature: float, student_temperature: float
) -> Tensor:
    """Return the loss of knowledge distillation, a mean over the batch in nats.

    L = (1 - α) CE(softmax(z), y) + α T S KL(q ‖ softmax(z / S)), with α = `kd_weight`, q the teacher's probabilities
    at its temperature T and S the student's. T · S keeps the size of the gradient when both temperatures rise;
    with T = S it is the familiar T².

    Args:
        logits: the student's z `(n, classes)`.
        labels: y `(n,)`.
        probs: q `(n, classes)`, tempered already.

    Source: Hinton et al. (2015), section 2; with two temperatures as in Bayesian-KD's public code.
    """
    logits = logits.float()
    hard = F.cross_entropy(logits, labels) if kd_weight < 1 else logits.new_zeros(())
    if kd_weight == 0:
        return hard
    soft = F.kl_div(F.log_softmax(logits / student_temperature, 1), probs, reduction="batchmean")
    return (1 - kd_weight) * hard + kd_weight * temperature * student_temperature * soft


def temper(probs: Tensor, temperature: float) -> Tensor:
    """Return p^(1/T), renormalised: `(n, classes)`."""
    return probs if temperature == 1 else torch.softmax(probs.log() / temperature, 1)
