"""Named datasets: images, labels and, where they are known, Bayes class probabilities; their views and subsets.

May import `base`. A family of datasets is a folder: what it says of itself needs no torch, its images do.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kdlib.base import paths
from kdlib.data.families import family_of

if TYPE_CHECKING:
    from kdlib.data.dataset import Dataset

__all__ = ["canonical", "classes_of", "family_of", "fingerprint", "load"]


def load(name: str, root: str | Path | None = None, image_size: int | None = None) -> Dataset:
    """Load a dataset by name: its splits, classes, Bayes class probabilities where known, and fingerprint.

    `root` is the data root (`kdlib.base.paths.data_root`), which is only read; `image_size`, in pixels, is for
    `folder:<path>` and for CIFAR, which may be reduced from 32 to 16 or 8.

    Raises: InputError for an unknown name, another image size than the dataset's, or data that is absent or unusable.
    """
    family = family_of(name)
    family.allows(name, image_size)
    return family.load(name, paths.data_root(root), image_size)


def fingerprint(name: str, root: str | Path | None = None, image_size: int | None = None) -> str:
    """Return a dataset's fingerprint, 16 hexadecimal digits, without loading its images.

    Raises: InputError as `load`.
    """
    family = family_of(name)
    family.allows(name, image_size)
    return family.fingerprint(name, paths.data_root(root), image_size)


def classes_of(name: str) -> tuple[str, ...]:
    """Return the names of a dataset's classes, in order, without loading its images.

    Raises: InputError as `load`.
    """
    return family_of(name).classes(name)


def canonical(name: str) -> str:
    """Return the shortest name of the same dataset (`digits:medium` is `digits`).

    Raises: InputError for an unknown name.
    """
    return family_of(name).canonical(name)
