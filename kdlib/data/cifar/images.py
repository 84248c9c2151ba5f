"""CIFAR-10 and CIFAR-100: from Parquet files, else torchvision's download, to one cache in an order of its own.

The order comes from the content (training images by SHA-256 of their pixels, then label), so every source of the same
images gives the same splits and the same fingerprint. Source: Krizhevsky, "Learning Multiple Layers of Features from
Tiny Images", 2009.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from kdlib.base import paths
from kdlib.base.errors import InputError
from kdlib.data import cache
from kdlib.data.cifar import BYTES, SHAPE, SIDES, Photographs
from kdlib.data.dataset import Dataset, Split
from kdlib.data.options import SPLIT_SEED, BCPSource
from kdlib.data.subsets import partition

Labelled = tuple[np.ndarray, np.ndarray]
"""Images, uint8 `(n, 32, 32, 3)`, and their labels `(n,)`."""

PIECE = 5_000
"""Images that are held in memory at once."""


def load(of: Photographs, root: Path, side: int = SIDES[0]) -> Dataset:
    """Load one of the two published datasets, built once from the data root or a download.

    At fewer than 32 pixels a side each is the mean of a block of the full size; mean and sd are those of the reduced
    training images.

    Raises: InputError when the images are in neither, or are not the published ones.
    """
    mark = of.fingerprint(of.name, root, side)

    def build(folder: Path) -> cache.Meta:
        return write(of, folder, *read(of, root)) if side == SIDES[0] else _reduce(load(of, root), folder, side, mark)

    return cache.load(of.name, mark, BYTES // (SIDES[0] // side) ** 2, build)


def answered(dataset: Dataset, shares: np.ndarray) -> Dataset:
    """Return `cifar10` with people's answers `(10000, 10)` as BCPs of its test images.

    Raises: InputError when people's majority differs from the label on more than 5 % of the rows: as published it does
    on fewer than one image in a hundred, in any other order on nine of ten.
    """
    wrong = float((shares.argmax(1) != dataset.test.labels.numpy()).mean())
    if wrong > 0.05:
        raise InputError(
            f"the rows of CIFAR-10H are not the test images' rows: people's majority differs from the label on "
            f"{wrong:.0%} of them, where at most 5 % is allowed."
        )
    return replace(dataset, test=replace(dataset.test, bcp=torch.from_numpy(shares)), bcp_source=BCPSource.HUMAN)


def divided(dataset: Dataset, name: str, fingerprint: str) -> Dataset:
    """Return the test images alone as a dataset: 7,000 to train, 1,000 to validate and 2,000 to test on."""
    pixels, labels, bcp = dataset.test.pixels, dataset.test.labels, dataset.test.bcp
    assert bcp is not None
    val, test, train = (Split(pixels[rows], labels[rows], bcp[rows]) for rows in partition(labels, (0.1, 0.2)))
    return replace(dataset, name=name, train=train, val=val, test=test, fingerprint=fingerprint)


def write(of: Photographs, folder: Path, train: Labelled, test: Labelled) -> cache.Meta:
    """Order and divide the published images and write them as a cache.

    Raises: InputError if the content is not the published one.
    """
    order, test_order = by_content(*train), np.arange(len(test[1])) if of.test_order_kept else by_content(*test)
    val_rows, train_rows = partition(torch.from_numpy(train[1][order]), (0.1,))
    counts = (len(train_rows), len(val_rows), len(test_order))
    rows = order[torch.cat([train_rows, val_rows]).numpy()]
    labels = np.concatenate([train[1][rows], test[1][test_order]]).astype("<i8")
    head = {"classes": of.labels, "counts": counts, "shape": SHAPE, "split_seed": SPLIT_SEED}
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())

    def pieces() -> Iterator[np.ndarray]:
        for images, chosen in ((train[0], rows), (test[0], test_order)):
            for start in range(0, len(chosen), PIECE):
                piece = np.ascontiguousarray(images[chosen[start : start + PIECE]].transpose(0, 3, 1, 2))
                digest.update(piece.data)
                yield piece

    cache.write(folder, pieces(), labels, counts[0])
    digest.update(labels.data)
    found = digest.hexdigest()[:16]
    if found != of.published:
        raise InputError(
            f"the images and labels of {of.name} are not the published ones (their fingerprint is {found}, not "
            f"{of.published}): take another copy."
        )
    return cache.Meta(found, of.labels, SHAPE, counts, of.mean, of.std)


def by_content(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the order of images by SHA-256 of their pixels (uint8, row by row, RGB), then label."""
    keys = [(hashlib.sha256(image).digest(), int(label)) for image, label in zip(images, labels, strict=True)]
    return np.array(sorted(range(len(keys)), key=keys.__getitem__))


def reduced(pixels: np.ndarray, side: int) -> np.ndarray:
    """Return images, uint8 `(n, 3, 32, 32)`, as uint8 `(n, 3, side, side)`: the mean of each block, half rounded up."""
    n, channels, full, _ = pixels.shape
    block = full // side
    sums = pixels.reshape(n, channels, side, block, side, block).sum((3, 5), dtype=np.uint32)
    means: np.ndarray = (sums + block * block // 2) // (block * block)
    return means.astype(np.uint8)


def _reduce(full: Dataset, folder: Path, side: int, fingerprint: str) -> cache.Meta:
    """Write the cache of a reduced size: the rows and splits of the full size."""
    splits = (full.train, full.val, full.test)
    pieces = (reduced(piece.numpy(), side) for split in splits for piece in torch.split(split.pixels, PIECE))
    labels = torch.cat([split.labels for split in splits]).numpy()
    mean, std = cache.write(folder, pieces, labels, len(full.train))
    counts = (len(full.train), len(full.val), len(full.test))
    return cache.Meta(fingerprint, full.classes, (3, side, side), counts, mean, std)


def read(of: Photographs, root: Path) -> tuple[Labelled, Labelled]:
    """Return the 50,000 training images and the 10,000 test images, in the order of their source.

    Raises: InputError when they are neither in the data root nor to be downloaded.
    """
    train, test = (sorted((root / of.name).rglob(f"{part}-*.parquet")) for part in ("train", "test"))
    if train and test:
        return _parquet(train, of.column), _parquet(test, of.column)
    return _download(of.name, root)


def _parquet(files: list[Path], column: str) -> Labelled:
    import pyarrow as arrow
    from pyarrow.parquet import read_table

    images, labels = [], []
    for file in files:
        try:
            table = read_table(file, columns=["img", column])
            images += [_decode(row["bytes"]) for row in table["img"].to_pylist()]
        except (arrow.ArrowException, OSError, ValueError, KeyError, TypeError, SyntaxError) as error:
            raise InputError(f"the data file {file} cannot be read: {error}.") from error
        labels.append(table[column].to_numpy())
    if not images:
        raise InputError(f"the data file {files[0]} and those beside it hold no image.")
    return np.stack(images), np.concatenate(labels)


def _decode(encoded: bytes) -> np.ndarray:
    from PIL import Image

    with Image.open(io.BytesIO(encoded), formats=("WEBP", "PNG")) as image:
        pixels = np.asarray(image.convert("RGB"))
    if pixels.shape != (32, 32, 3):
        raise ValueError(f"an image has shape {pixels.shape}, not (32, 32, 3)")
    return pixels


def _download(name: str, root: Path) -> tuple[Labelled, Labelled]:
    from torchvision import datasets

    place = paths.datasets() / "downloads"
    cache.require_space(place, 4 * BYTES, f"downloading {name}")
    try:
        train, test = (getattr(datasets, name.upper())(place, train=part, download=True) for part in (True, False))
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"dataset {name} is not in the data root {root} (looked for {name}/train-*.parquet and test-*.parquet) "
            f"and torchvision could not download it to {place} ({error})."
        ) from error
    return (train.data, np.array(train.targets)), (test.data, np.array(test.targets))
