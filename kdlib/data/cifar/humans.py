"""CIFAR-10H: how people classify CIFAR-10's test images.

Source: Peterson, Battleday, Griffiths and Russakovsky, "Human uncertainty makes classification more robust", 2019
(CC BY-NC-SA 4.0).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from kdlib.base.errors import InputError
from kdlib.data.cifar import images as cifar
from kdlib.data.cifar.answers import available, fingerprint, shares
from kdlib.data.dataset import Dataset, Split
from kdlib.data.options import BCPSource
from kdlib.data.subsets import partition


def human_probs(root: Path) -> Tensor:
    """Return the share of people who chose each class, float32 `(10000, 10)`, in CIFAR-10's test order.

    Raises: InputError when the files are absent or are not what they should be.
    """
    return torch.from_numpy(shares(root))


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
