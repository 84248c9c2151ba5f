"""Measures of a network's class probabilities: generalisation, calibration, distance to the BCPs, fidelity.

`measure` for every network, `fidelity` for students, `omission` for those that learn from some classes only,
`divergence` for each image.

Everything is computed in float64 on the CPU from log-probabilities, so that a value does not depend on the
device, and log-probabilities kept in float16 are normalised again first. Nothing of torchmetrics is used:
to import it costs every kernel a second or two, its `kl_divergence` takes the ratio of the probabilities, which
underflows, and its calibration error puts confidences that round to 1 in float32 into a sixteenth bin of their own.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from kdlib.base.errors import InputError
from kdlib.measures.calibration import Binning, calibration_error

TOP = 5
"""How many guesses `top5` allows; with fewer than six classes it says nothing and is left out."""


def measure(log_probs: Tensor, labels: Tensor, bcp: Tensor | None = None) -> dict[str, float]:
    """Measure class probabilities against labels and, where they are known, Bayes class probabilities.

    `accuracy`, `top5` (six classes or more); `nll`, −mean log p(y|x) in nats; `brier`, mean of
    Σ_c (p_c − 1[c = y])² in [0, 2]; `ece` and `adaptive_ece`, 15 bins of equal width and of equal mass;
    `cmi`, I(X; Ŷ | Y) in nats; `entropy`, mean −Σ_c p_c log p_c in nats. With `bcp` also `kl_to_bcp`, mean
    KL(bcp ‖ p) in nats; `tv_to_bcp`, mean ½ Σ_c |p_c − bcp_c| in [0, 1]; `mse_to_bcp`, mean of
    Σ_c (p_c − bcp_c)², which is the part of the expected Brier score that the network can still lose.

    Args:
        log_probs: `(n, classes)` float log-probabilities (or logits: rows are normalised), n ≥ 1.
        labels: `(n,)` integers in 0 … classes − 1.
        bcp: `(n, classes)` float probabilities, rows summing to one, or None.

    Returns:
        One float a name.

    Raises:
        InputError: a shape, a label or a NaN that does not belong.

    Source: Naeini et al. 2015 (ECE); Nguyen and O'Connor 2015 (adaptive bins); Ye et al. 2024 (CMI).
    """
    log_p, labels = _checked(log_probs, labels)
    p = log_p.exp()
    confidence, guess = (column.numpy() for column in p.max(dim=1))
    correct = guess == labels.numpy()
    entropies = torch.special.entr(p).sum(dim=1)
    right = p.gather(1, labels[:, None])[:, 0]
    values = {
        "accuracy": float(correct.mean()),
        "nll": float(functional.nll_loss(log_p, labels)),
        "brier": float(((p * p).sum(dim=1) - 2 * right + 1).mean()),
        "ece": calibration_error(confidence, correct, binning=Binning.WIDTH),
        "adaptive_ece": calibration_error(confidence, correct, binning=Binning.MASS),
        "cmi": _cmi(p, entropies, labels),
        "entropy": float(entropies.mean()),
    }
    if p.shape[1] > TOP:
        # Counting the classes that beat the label needs no sorting, which took as long as all the rest.
        values["top5"] = float(((p > right[:, None]).sum(dim=1) < TOP).double().mean())
    if bcp is not None:
        if bcp.shape != p.shape:
            raise InputError(f"bcp has shape {tuple(bcp.shape)}; like log_probs it must be {tuple(p.shape)}.")
        truth = bcp.detach().cpu().double()
        values["kl_to_bcp"] = float(_kl(truth, log_p).mean())
        gap = p - truth
        values["mse_to_bcp"] = float((gap * gap).sum(dim=1).mean())
        values["tv_to_bcp"] = float(gap.abs_().sum(dim=1).mean() / 2)
    return values


def fidelity(student_log_probs: Tensor, teacher_log_probs: Tensor) -> dict[str, float]:
    """Measure how faithfully a student follows its teacher, whatever the labels say.

    `agreement` is the share of images on which both give the same most probable class; `kl_to_teacher` is
    the mean of KL(teacher ‖ student) in nats, both at temperature 1.

    Args:
        student_log_probs: `(n, classes)`.
        teacher_log_probs: `(n, classes)`, of the same images.

    Source: Stanton et al. 2021.
    """
    student, teacher = _normalised(student_log_probs), _normalised(teacher_log_probs)
    same = student.argmax(dim=1) == teacher.argmax(dim=1)
    return {
        "agreement": float(same.double().mean()),
        "kl_to_teacher": float(_kl(teacher.exp(), student).mean()),
    }


def omission(log_probs: Tensor, labels: Tensor, omitted: Sequence[int]) -> dict[str, float]:
    """Measure how often the images of classes that training left out, and of those that it kept, are named right.

    `omitted_accuracy` and `kept_accuracy` are shares of the images of those classes; the guess is free to be any
    class. Where one side has no image its measure is left out.

    Args:
        log_probs: `(n, classes)` log-probabilities.
        labels: `(n,)` integers.
        omitted: the classes left out.

    Source: Ye et al. 2024, zero-shot distillation.
    """
    log_p, labels = _checked(log_probs, labels)
    right = log_p.argmax(dim=1) == labels
    out = torch.isin(labels, torch.tensor(list(omitted), dtype=torch.long))
    sides = {"omitted_accuracy": right[out], "kept_accuracy": right[~out]}
    return {name: float(side.double().mean()) for name, side in sides.items() if len(side)}


def divergence(bcp: Tensor, log_probs: Tensor) -> Tensor:
    """Return KL(bcp ‖ p) of each image in nats, `(n,)` float64.

    Args:
        bcp: `(n, classes)` probabilities.
        log_probs: `(n, classes)` log-probabilities.
    """
    return _kl(bcp.detach().cpu().double(), _normalised(log_probs))


def _normalised(log_probs: Tensor) -> Tensor:
    """Return `(n, classes)` float64 log-probabilities on the CPU whose rows sum to one."""
    if log_probs.ndim != 2 or not len(log_probs):
        raise InputError(
            f"log_probs has shape {tuple(log_probs.shape)}; it must be (n, classes) with at least one row."
        )
    return torch.log_softmax(log_probs.detach().cpu().double(), dim=1)


def _checked(log_probs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return `_normalised` log-probabilities with their labels; raise where these do not fit or one is no number."""
    log_p, labels = _normalised(log_probs), labels.detach().cpu().long()
    if labels.shape != log_p.shape[:1]:
        raise InputError(f"labels has shape {tuple(labels.shape)}; it must be ({len(log_p)},).")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= log_p.shape[1]:
        raise InputError(f"labels lie in {low} … {high}; allowed are 0 … {log_p.shape[1] - 1}.")
    if bool(log_p.isnan().any()):
        raise InputError("log_probs holds NaN; every row must be a distribution over the classes.")
    return log_p, labels


def _kl(p: Tensor, log_q: Tensor) -> Tensor:
    """Return KL(p ‖ q) a row in nats, with 0 log 0 = 0 on both sides."""
    cross = torch.where(p > 0, p * log_q, p.new_zeros(()))
    divergence: Tensor = -(torch.special.entr(p).sum(dim=1) + cross.sum(dim=1))
    return divergence


def _cmi(p: Tensor, entropies: Tensor, labels: Tensor) -> float:
    """Return I(X; Ŷ | Y): the mean over the images of KL(p(·|x) ‖ Q_y), Q_y the mean of p(·|x) over the class's images.

    Within a class, the mean KL to the mean is the entropy of the mean minus the mean of the entropies.
    """
    counts = torch.bincount(labels, minlength=p.shape[1])
    sums = torch.zeros(p.shape[1], p.shape[1], dtype=p.dtype).index_add_(0, labels, p)
    spread = counts * torch.special.entr(sums / counts.clamp(min=1)[:, None]).sum(dim=1)
    return float((spread - torch.zeros_like(spread).index_add_(0, labels, entropies)).sum() / len(p))
