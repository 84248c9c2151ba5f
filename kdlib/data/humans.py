"""CIFAR-10H: how people classify CIFAR-10's test images.

Source: Peterson, Battleday, Griffiths and Russakovsky, "Human uncertainty makes classification more robust", 2019
(CC BY-NC-SA 4.0).
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kdlib.base.errors import InputError
from kdlib.data import cifar
from kdlib.data.dataset import BCPSource, Dataset, Split
from kdlib.data.subsets import SPLIT_SEED, partition

COUNTS_FILE, PROBS_FILE = "cifar10h-counts.npy", "cifar10h-probs.npy"
ROWS, CLASSES = 10_000, 10
PUBLISHED = "abb80bd942cd7ac4"
"""The fingerprint with the published counts: where there is no file, runs and records are known by it."""


def available(root: Path) -> bool:
    """Say whether the data root has the people's answers."""
    return any((root / "cifar10h" / name).is_file() for name in (COUNTS_FILE, PROBS_FILE))


def human_probs(root: Path) -> Tensor:
    """Return the share of people who chose each class, float32 `(10000, 10)`, in CIFAR-10's test order.

    Raises: InputError when the files are absent or are not what they should be.
    """
    if not available(root):
        raise InputError(
            f"dataset cifar10h needs {COUNTS_FILE} or {PROBS_FILE} in {root / 'cifar10h'}, where neither is: "
            "they come with the publication of CIFAR-10H."
        )
    file = next(f for f in (root / "cifar10h" / name for name in (COUNTS_FILE, PROBS_FILE)) if f.is_file())
    try:
        answers = np.load(file, allow_pickle=False).astype(np.float64)
    except (OSError, ValueError) as error:
        raise InputError(f"the data file {file} cannot be read: {error}.") from error
    if answers.shape != (ROWS, CLASSES) or not (answers >= 0).all() or not (answers.sum(1) > 0).all():
        raise InputError(f"the data file {file} must hold {ROWS} × {CLASSES} counts or probabilities, none negative.")
    return torch.from_numpy((answers / answers.sum(1, keepdims=True)).astype(np.float32))


def check_rows(probs: Tensor, labels: Tensor) -> None:
    """Refuse answers whose rows are not the images' rows.

    People's majority differs from the label on fewer than one image in a hundred; in any other order on nine of ten.

    Raises: InputError when it differs on more than 5 % of the rows.
    """
    wrong = (probs.argmax(1) != labels).double().mean().item()
    if wrong > 0.05:
        raise InputError(
            f"the rows of CIFAR-10H are not the test images' rows: people's majority differs from the label on "
            f"{wrong:.0%} of them, where at most 5 % is allowed."
        )


def with_humans(dataset: Dataset, root: Path) -> Dataset:
    """Return `cifar10` with the people's answers as BCPs of its test images, where the data root has them.

    The fingerprint stays: it is that of the images, and the training split is as before.
    """
    if not available(root):
        return dataset
    probs = human_probs(root)
    check_rows(probs, dataset.test.labels)
    return replace(dataset, test=replace(dataset.test, bcp=probs), bcp_source=BCPSource.HUMAN)


def load(root: Path, side: int = 32) -> Dataset:
    """Load `cifar10h`: CIFAR-10's test images and the people's answers, 7,000 to train, 1,000, and 2,000 to test on."""
    probs = human_probs(root)
    images = cifar.load("cifar10", root, side)
    labels = images.test.labels
    check_rows(probs, labels)
    val, test, train = partition(labels, (0.1, 0.2))
    train_split, val_split, test_split = (
        Split(images.test.pixels[rows], labels[rows], probs[rows]) for rows in (train, val, test)
    )
    return replace(
        images,
        name="cifar10h",
        train=train_split,
        val=val_split,
        test=test_split,
        bcp_source=BCPSource.HUMAN,
        fingerprint=fingerprint(root, side),
    )


def fingerprint(root: Path, side: int = 32) -> str:
    """Return the fingerprint of `cifar10h`: that of the images, the split and the people's answers, and of the size."""
    full = PUBLISHED
    if available(root):
        digest = hashlib.sha256(f"cifar10h/{cifar.fingerprint('cifar10')}/{SPLIT_SEED}".encode())
        digest.update(human_probs(root).numpy().astype("<f4").tobytes())
        full = digest.hexdigest()[:16]
    return full if side == cifar.SIDES[0] else hashlib.sha256(f"{full}/area/{side}".encode()).hexdigest()[:16]
