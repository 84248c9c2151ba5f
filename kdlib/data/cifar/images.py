"""CIFAR-10 and CIFAR-100: from Parquet files, else torchvision's download, to one cache in an order of its own.

The order comes from the content (training images by SHA-256 of their pixels, then label), so every source of the same
images gives the same splits and the same fingerprint. Source: Krizhevsky, "Learning Multiple Layers of Features from
Tiny Images", 2009.
"""

from __future__ import annotations

import hashlib
import io
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kdlib.base import paths
from kdlib.base.errors import InputError
from kdlib.data import cache
from kdlib.data.cifar import BYTES, CIFAR, SHAPE, SIDES, fingerprint
from kdlib.data.dataset import Dataset
from kdlib.data.options import SPLIT_SEED
from kdlib.data.subsets import partition


def reduced(pixels: np.ndarray, side: int) -> np.ndarray:
    """Return images, uint8 `(n, 3, 32, 32)`, as uint8 `(n, 3, side, side)`: the mean of each block, half rounded up."""
    n, channels, full, _ = pixels.shape
    block = full // side
    sums = pixels.reshape(n, channels, side, block, side, block).sum((3, 5), dtype=np.uint32)
    means: np.ndarray = (sums + block * block // 2) // (block * block)
    return means.astype(np.uint8)


def _reduce(folder: Path, name: str, root: Path, side: int) -> cache.Meta:
    """Write the cache of a reduced size: the rows and splits of the full size."""
    full = load(name, root)
    total, squares = np.zeros(3, np.int64), np.zeros(3, np.int64)  # whole numbers: the same on every machine
    splits = (full.train, full.val, full.test)
    with (folder / cache.PIXELS).open("wb") as file:
        for split in splits:
            for rows in torch.split(torch.arange(len(split)), 5_000):
                small = reduced(split.pixels[rows].numpy(), side)
                file.write(small.tobytes())
                if split is full.train:
                    total += small.sum((0, 2, 3), dtype=np.int64)
                    squares += np.square(small, dtype=np.int64).sum((0, 2, 3))
    cache.write_labels(folder, torch.cat([split.labels for split in splits]).numpy().astype("<i8"))
    pixels = len(full.train) * side * side
    mean, square = total / pixels / 255, squares / pixels / 255**2
    means, stds = (tuple(round(float(v), 6) for v in values) for values in (mean, np.sqrt(square - mean**2)))
    counts = (len(full.train), len(full.val), len(full.test))
    return cache.Meta(fingerprint(name, side), full.classes, (3, side, side), counts, means, stds)


def load(name: str, root: Path, side: int = 32) -> Dataset:
    """Load `cifar10` or `cifar100`, built once from the data root or a download.

    At fewer than 32 pixels a side each is the mean of a block of the full size; mean and sd are those of the reduced
    training images.

    Raises: InputError when the images are in neither, or are not the published ones.
    """
    if side != SIDES[0]:
        needed = BYTES // (SIDES[0] // side) ** 2
        return cache.load(name, fingerprint(name, side), needed, partial(_reduce, name=name, root=root, side=side))

    def build(folder: Path) -> cache.Meta:
        images, labels, test_images, test_labels = read(name, root)
        return write(name, folder, images, labels, test_images, test_labels)

    return cache.load(name, CIFAR[name].fingerprint, BYTES, build)


def write(
    name: str, folder: Path, images: np.ndarray, labels: np.ndarray, test_images: np.ndarray, test_labels: np.ndarray
) -> cache.Meta:
    """Order and divide the images, uint8 `(n, 32, 32, 3)`, and write them as a cache.

    Raises: InputError if the content is not the published one.
    """
    spec = CIFAR[name]
    order = by_content(images, labels)
    val, train = partition(torch.from_numpy(labels[order]), (0.1,))
    test_order = np.arange(len(test_labels)) if spec.test_order_kept else by_content(test_images, test_labels)
    rows = order[torch.cat([train, val]).numpy()]
    counts = (len(train), len(val), len(test_labels))
    all_labels = np.concatenate([labels[rows], test_labels[test_order]]).astype("<i8")
    head = {"classes": spec.classes, "counts": counts, "shape": SHAPE, "split_seed": SPLIT_SEED}
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    with (folder / cache.PIXELS).open("wb") as file:
        for part in (images[rows[: counts[0]]], images[rows[counts[0] :]], test_images[test_order]):
            stored = np.ascontiguousarray(part.transpose(0, 3, 1, 2))
            digest.update(stored.data)
            file.write(stored.data)
    digest.update(all_labels.data)
    cache.write_labels(folder, all_labels)
    fingerprint = digest.hexdigest()[:16]
    if fingerprint != spec.fingerprint:
        raise InputError(
            f"the images and labels of {name} are not the published ones (their fingerprint is {fingerprint}, not "
            f"{spec.fingerprint}): take another copy."
        )
    return cache.Meta(fingerprint, spec.classes, SHAPE, counts, spec.mean, spec.std)


def by_content(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the order of images by SHA-256 of their pixels (uint8, row by row, RGB), then label."""
    keys = [(hashlib.sha256(image).digest(), int(label)) for image, label in zip(images, labels, strict=True)]
    return np.array(sorted(range(len(keys)), key=keys.__getitem__))


def read(name: str, root: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return training images, uint8 `(50000, 32, 32, 3)`, and labels, then test images and labels.

    Raises: InputError when they are neither in the data root nor to be downloaded.
    """
    found = {part: sorted((root / name).rglob(f"{part}-*.parquet")) for part in ("train", "test")}
    if not all(found.values()):
        return _download(name, root)
    train, test = (_parquet(files, CIFAR[name].column) for files in found.values())
    return *train, *test


def _parquet(files: list[Path], column: str) -> tuple[np.ndarray, np.ndarray]:
    import pyarrow as arrow
    from pyarrow.parquet import read_table

    images, labels = [], []
    for file in files:
        try:
            table = read_table(file, columns=["img", column])
            images += [_decode(row["bytes"]) for row in table["img"].to_pylist()]
        except (arrow.ArrowException, OSError, ValueError, KeyError, SyntaxError) as error:
            raise InputError(f"the data file {file} cannot be read: {error}.") from error
        labels.append(table[column].to_numpy())
    return np.stack(images), np.concatenate(labels)


def _decode(encoded: bytes) -> np.ndarray:
    from PIL import Image

    with Image.open(io.BytesIO(encoded), formats=("WEBP", "PNG")) as image:
        pixels = np.asarray(image.convert("RGB"))
    if pixels.shape != (32, 32, 3):
        raise ValueError(f"an image has shape {pixels.shape}, not (32, 32, 3)")
    return pixels


def _download(name: str, root: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    from torchvision.datasets import CIFAR10, CIFAR100

    kind: Any = {"cifar10": CIFAR10, "cifar100": CIFAR100}[name]
    place = paths.datasets() / "downloads"
    cache.require_space(place, 4 * BYTES, f"downloading {name}")
    try:
        train, test = (kind(place, train=part, download=True) for part in (True, False))
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"dataset {name} is not in the data root {root} (looked for {name}/train-*.parquet and test-*.parquet) "
            f"and torchvision could not download it to {place} ({error})."
        ) from error
    return train.data, np.array(train.targets), test.data, np.array(test.targets)
