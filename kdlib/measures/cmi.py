"""The conditional mutual information (CMI) of image and prediction, also by the temperature of an answer. (No torch.)

A stored answer is tempered after the fact: softmax(log p / T) is softmax(z / T) for one network of logits z. So the
sweep needs no forward pass; answers of several networks, each of which is tempered, are no subject of it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kdlib.measures.bcp_errors import tempered

GRID = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0)
"""Temperatures at which the CMI is computed."""
ARRAYS = ("temperature", "val_cmi", "test_cmi")
"""What `by_temperature` gives, each `(len(GRID),)`."""


def cmi(log_probs: ArrayLike, labels: ArrayLike) -> float:
    """Return I(X; Ŷ | Y) in nats: the mean of KL(p(·|x) ‖ Q_y), Q_y the mean of p(·|x) over the images of class y.

    Args:
        log_probs: `(n, classes)` normalised log-probabilities.
        labels: `(n,)` integers.

    Source: Ye et al., ICLR 2024.
    """
    log_p, y = np.asarray(log_probs, np.float64), np.asarray(labels)
    p = np.exp(log_p)
    total = 0.0
    for label in np.unique(y):
        own = p[y == label]
        centre = own.mean(axis=0)
        given = (own * np.where(own > 0, log_p[y == label], 0)).sum()
        total += given - len(own) * (centre[centre > 0] * np.log(centre[centre > 0])).sum()
    return total / len(y)


def by_temperature(
    log_probs: Mapping[str, ArrayLike], labels: Mapping[str, ArrayLike]
) -> dict[str, NDArray[np.float64]]:
    """Return the arrays `ARRAYS` of one network.

    Args:
        log_probs: `(n, classes)` by split, val and test.
        labels: `(n,)` by split.
    """
    found = {"temperature": np.asarray(GRID)}
    for part in ("val", "test"):
        found[f"{part}_cmi"] = np.array([cmi(tempered(log_probs[part], t), labels[part]) for t in GRID])
    return found
