"""The answers of people to CIFAR-10's test images, as published, and what identifies them. (No torch.)

Source: Peterson, Battleday, Griffiths and Russakovsky, "Human uncertainty makes classification more robust", 2019
(CC BY-NC-SA 4.0).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from kdlib.base.errors import InputError
from kdlib.data.cifar import CIFAR10, CIFAR10H
from kdlib.data.options import SPLIT_SEED

COUNTS_FILE, PROBS_FILE = "cifar10h-counts.npy", "cifar10h-probs.npy"
ROWS, CLASSES = 10_000, 10
PUBLISHED = "abb80bd942cd7ac4"
"""The fingerprint with the published counts: where there is no file, runs and records are known by it."""


def _files(root: Path) -> list[Path]:
    return [file for name in (COUNTS_FILE, PROBS_FILE) if (file := root / "cifar10h" / name).is_file()]


def available(root: Path) -> bool:
    """Say whether the data root has the people's answers."""
    return bool(_files(root))


def shares(root: Path) -> np.ndarray:
    """Return the share of people who chose each class, float32 `(10000, 10)`, in CIFAR-10's test order.

    Raises: InputError when the files are absent or are not what they should be.
    """
    files = _files(root)
    if not files:
        raise InputError(
            f"dataset cifar10h needs {COUNTS_FILE} or {PROBS_FILE} in {root / 'cifar10h'}, where neither is: "
            "they come with the publication of CIFAR-10H."
        )
    file = files[0]
    try:
        answers = np.lib.format.open_memmap(file, mode="r").astype(np.float64)
    except (OSError, ValueError) as error:
        raise InputError(f"the data file {file} cannot be read: {error}.") from error
    if answers.shape != (ROWS, CLASSES) or not (answers >= 0).all() or not (answers.sum(1) > 0).all():
        raise InputError(f"the data file {file} must hold {ROWS} × {CLASSES} counts or probabilities, none negative.")
    found: np.ndarray = (answers / answers.sum(1, keepdims=True)).astype(np.float32)
    return found


def fingerprint(root: Path) -> str:
    """Return the fingerprint of `cifar10h` at the full size: that of the images, the split and the people's answers."""
    if not available(root):
        return PUBLISHED
    digest = hashlib.sha256(f"{CIFAR10H.name}/{CIFAR10.published}/{SPLIT_SEED}".encode())
    digest.update(shares(root).astype("<f4").tobytes())
    return digest.hexdigest()[:16]
