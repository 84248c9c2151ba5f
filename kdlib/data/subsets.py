"""Stratified choices of rows, as index manifests: few-shot subsets, omitted classes, validation splits."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import floor

import torch
from torch import Tensor

from kdlib.base.errors import InputError
from kdlib.base.hashing import random_bits
from kdlib.data.options import SPLIT_SEED

SUBSET_SEED = 5
"""The seed of every few-shot subset: all students of a fraction learn from the same images."""


def share_of(share: float, count: int) -> int:
    """Return `share` of `count`, rounded half up, at least one."""
    # Decimal as the share was written: 0.35 · 450 is 157.5, which the nearest float falls short of.
    return max(1, floor(Fraction(str(share)) * count + Fraction(1, 2)))


def shuffled(rows: Tensor, seed: int) -> Tensor:
    """Return these rows (int64) in a random order that depends on the seed and the rows alone."""
    return rows[random_bits(rows, seed).argsort(stable=True)]


def partition(labels: Tensor, shares: Sequence[float], seed: int = SPLIT_SEED) -> list[Tensor]:
    """Divide rows into one part a share and a last part of what remains, stratified by class.

    `labels` `(n,)` are int64; each share is of every class's count, rounded half up, at least one row. Returns
    `len(shares) + 1` sorted int64 index tensors.

    Raises: InputError for a class with too few rows for every part to have one.
    """
    parts: list[list[Tensor]] = [[] for _ in range(len(shares) + 1)]
    for label in sorted(set(labels.tolist())):
        rows = shuffled((labels == label).nonzero()[:, 0], seed)
        sizes = [share_of(share, len(rows)) for share in shares]
        rest = len(rows) - sum(sizes)
        if rest < 1:
            raise InputError(
                f"class number {label} has {len(rows)} images, too few to divide into {len(parts)} splits: "
                f"give it at least {len(parts)}, or the dataset its own val/ and test/."
            )
        for part, chosen in zip(parts, torch.split(rows, [*sizes, rest]), strict=True):
            part.append(chosen)
    return [torch.cat(part).sort().values for part in parts]


def subset(
    labels: Tensor,
    classes: Sequence[str],
    fraction: float = 1.0,
    omit_classes: Sequence[int] = (),
    seed: int = SUBSET_SEED,
) -> Tensor:
    """Choose a fraction of each class's images, without the omitted classes.

    `labels` `(n,)` are int64, `fraction` is in (0, 1], of each class's count, rounded half up, at least one image;
    `omit_classes` are class indices. Returns sorted int64 row indices. A smaller fraction is part of a larger one.

    Raises: InputError for a fraction out of range, or when no image remains.
    """
    if not 0 < fraction <= 1:
        raise InputError(f"fraction is {fraction}, but it must be above 0 and at most 1.")
    chosen = []
    for label in sorted(set(range(len(classes))) - set(omit_classes)):
        rows = (labels == label).nonzero()[:, 0]
        if len(rows):
            chosen.append(shuffled(rows, seed)[: share_of(fraction, len(rows))])
    if not chosen:
        raise InputError(f"omit_classes is {'+'.join(map(str, omit_classes))!r}, which leaves no image to learn from.")
    return torch.cat(chosen).sort().values
