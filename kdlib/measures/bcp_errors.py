"""Where an estimate of the Bayes class probabilities (BCPs) errs, image by image. (No torch.)

`divergence` is KL(BCP ‖ estimate) of each image and `error_parts` splits it into four parts that add up to it.
`tempered` asks what of it one temperature would mend.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax, logsumexp, xlogy

from kdlib.base.errors import InputError

Floats = NDArray[np.float64]


class Part(StrEnum):
    """What of an image's divergence an error is charged to."""

    WRONG = "wrong class"
    """All of it, where the estimate's most probable class is not the most probable one by the BCPs."""
    OVER = "overconfident"
    """Else the part that is due to that class's probability, where it is too high."""
    UNDER = "underconfident"
    """The same, where it is too low."""
    OTHERS = "other classes"
    """Else the rest: how the remaining probability is divided among the other classes."""


PARTS = tuple(Part)
"""The columns of `error_parts`, in order."""


def divergence(bcp: ArrayLike, log_probs: ArrayLike) -> Floats:
    """Return KL(bcp ‖ estimate) of each image, `(n,)`, in nats.

    Args:
        bcp: `(n, classes)` probabilities; rows are normalised again in float64.
        log_probs: `(n, classes)` log-probabilities of the estimate, in any float type; rows are normalised again.

    Raises:
        InputError: the shapes differ or are not `(n, classes)`.
    """
    truth, log_q = _both(bcp, log_probs)
    each: Floats = _terms(truth, log_q).sum(axis=1)
    return each


def error_parts(bcp: ArrayLike, log_probs: ArrayLike) -> Floats:
    """Split KL(bcp ‖ estimate) of each image into the parts of `Part`, `(n, 4)`, in nats; a row's sum is the whole.

    Let c be the estimate's most probable class. Where bcp_c is not the largest BCP, all is `WRONG`. Else, by the chain
    rule of the divergence,

        KL(p ‖ q) = [p_c ln(p_c / q_c) + (1 − p_c) ln((1 − p_c) / (1 − q_c))]  +  (1 − p_c) KL(p_rest ‖ q_rest),

    with p_rest and q_rest the probabilities of the other classes, scaled to sum to one. The bracket is `OVER` where
    q_c > p_c and `UNDER` where not; the last term is `OTHERS`. All parts are at least zero.

    Args:
        bcp: `(n, classes)` probabilities.
        log_probs: `(n, classes)` log-probabilities of the estimate.

    Raises:
        InputError: as `divergence`.

    Source: Cover and Thomas 2006, theorem 2.5.3 (the chain rule).
    """
    truth, log_q = _both(bcp, log_probs)
    rows, named = np.arange(len(truth)), log_q.argmax(axis=1)
    whole = _terms(truth, log_q).sum(axis=1)
    p, log_q_named = truth[rows, named], log_q[rows, named]
    others, log_others = truth.copy(), log_q.copy()
    others[rows, named], log_others[rows, named] = 0, -np.inf
    # 1 − q loses its digits where q is almost one; the sum over the other classes does not.
    two = np.stack([p, others.sum(axis=1)], axis=1), np.stack([log_q_named, logsumexp(log_others, axis=1)], axis=1)
    confidence = np.maximum(_terms(*two).sum(axis=1), 0)
    right = p >= truth.max(axis=1)
    over = log_q_named > np.log(np.maximum(p, 1e-300))
    columns = {
        Part.WRONG: np.where(right, 0, whole),
        Part.OVER: np.where(right & over, confidence, 0),
        Part.UNDER: np.where(right & ~over, confidence, 0),
        Part.OTHERS: np.where(right, np.maximum(whole - confidence, 0), 0),
    }
    return np.stack([columns[part] for part in PARTS], axis=1)


def tempered(log_probs: ArrayLike, temperature: float) -> Floats:
    """Return log-probabilities at a temperature: those of p^(1/T), normalised, `(n, classes)`.

    For one network this is softmax(logits / T). An average of several answers is tempered after it was taken.

    Args:
        log_probs: `(n, classes)`.
        temperature: T > 0.
    """
    cooled: Floats = log_softmax(np.asarray(log_probs, np.float64) / temperature, axis=1)
    return cooled


def _terms(p: Floats, log_q: Floats) -> Floats:
    """Return p ln(p / q) of every entry, with 0 ln 0 = 0 also where q is zero."""
    terms: Floats = xlogy(p, p) - p * np.where(p > 0, log_q, 0)
    return terms


def _both(bcp: ArrayLike, log_probs: ArrayLike) -> tuple[Floats, Floats]:
    """Return both sides in float64, rows normalised, or raise where they do not belong together."""
    truth, log_q = np.asarray(bcp, np.float64), np.asarray(log_probs, np.float64)
    if truth.ndim != 2 or truth.shape != log_q.shape or not len(truth):
        raise InputError(f"bcp and log_probs have shapes {truth.shape} and {log_q.shape}; both must be (n, classes).")
    return truth / truth.sum(axis=1, keepdims=True), log_softmax(log_q, axis=1)
