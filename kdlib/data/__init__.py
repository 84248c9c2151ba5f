"""Named datasets: images, labels and, where they are known, Bayes class probabilities."""

from __future__ import annotations

from pathlib import Path

from kdlib.base import paths
from kdlib.base.errors import InputError
from kdlib.data import cifar, digits, folder, humans, tree
from kdlib.data.dataset import BCPSource, Dataset, Split
from kdlib.data.subsets import named_once, resolve_classes, subset

__all__ = [
    "BCPSource",
    "Dataset",
    "Split",
    "canonical",
    "classes_of",
    "fingerprint",
    "load",
    "named_once",
    "resolve_classes",
    "subset",
]

ALLOWED = "digits, digits:<size>, digits:<size>@<noise sd>, cifar10, cifar100, cifar10h, folder:<path>"
SIDES = {"digits": (digits.SIDE,), **dict.fromkeys(("cifar10", "cifar100", "cifar10h"), cifar.SIDES)}
"""The pixels a side that each kind of dataset may have, the first by default."""


def load(name: str, root: str | Path | None = None, image_size: int | None = None) -> Dataset:
    """Load a dataset by name: its splits, classes, Bayes class probabilities where known, and fingerprint.

    `root` is the data root (`kdlib.base.paths.data_root`), which is only read; `image_size`, in pixels, is for
    `folder:<path>` and for CIFAR, which may be reduced from 32 to 16 or 8.

    Raises: InputError for an unknown name, another image size than the dataset's, or data that is absent or unusable.
    """
    kind, place = _kind(name, image_size), paths.data_root(root)
    side = image_size or cifar.SIDES[0]
    if kind == "digits":
        return digits.load(name)
    if kind == "folder":
        return folder.load(name, image_size)
    if kind == "cifar10h":
        return humans.load(place, side)
    dataset = cifar.load(name, place, side)
    return humans.with_humans(dataset, place) if kind == "cifar10" else dataset


def fingerprint(name: str, root: str | Path | None = None, image_size: int | None = None) -> str:
    """Return a dataset's fingerprint, 16 hexadecimal digits, without loading its images.

    Raises: InputError as `load`.
    """
    kind = _kind(name, image_size)
    if kind == "digits":
        return digits.fingerprint(name)
    if kind == "folder":
        return folder.fingerprint(name, image_size)
    side = image_size or cifar.SIDES[0]
    return humans.fingerprint(paths.data_root(root), side) if kind == "cifar10h" else cifar.fingerprint(name, side)


def classes_of(name: str) -> tuple[str, ...]:
    """Return the names of a dataset's classes, in order, without loading its images.

    Raises: InputError as `load`.
    """
    kind = _kind(name, None)
    if kind == "digits":
        return digits.CLASSES
    return tree.scan(name).classes if kind == "folder" else cifar.CIFAR[name.removesuffix("h")].classes


def canonical(name: str) -> str:
    """Return the shortest name of the same dataset (`digits:medium` is `digits`).

    Raises: InputError for an unknown name.
    """
    return digits.canonical(name) if _kind(name, None) == "digits" else name


def _kind(name: str, image_size: int | None) -> str:
    kind, _, rest = name.partition(":")
    if kind not in {*SIDES, "folder"} or (rest and kind not in ("digits", "folder")):
        raise InputError(f"dataset is {name!r}, but it must be one of {ALLOWED}.")
    if kind != "folder" and image_size not in (None, *SIDES[kind]):
        allowed = " or ".join(map(str, SIDES[kind]))
        raise InputError(f"image_size is {image_size}, but the images of {name} have {allowed} pixels a side.")
    return kind
