"""Confusion counts: how many images of each class are given each class. (No torch.)"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Counts = NDArray[np.int32]
ARRAY = "confusion"
"""What records call the counts on test images, `(classes, classes)` int32."""


def count(log_probs: ArrayLike, labels: ArrayLike) -> Counts:
    """Return how many images of each class (rows) are given each class (columns): `(classes, classes)` int32.

    Args:
        log_probs: `(n, classes)`.
        labels: `(n,)` integers.
    """
    answers = np.asarray(log_probs)
    size = answers.shape[1]
    cells = np.asarray(labels, np.int64) * size + answers.argmax(axis=1)
    return np.bincount(cells, minlength=size**2).reshape(size, size).astype(np.int32)
