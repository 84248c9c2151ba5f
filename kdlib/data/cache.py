"""Decoded datasets on disk: one memory-mapped uint8 array, its labels and what describes them.

A cache is a folder with `pixels.u8`, uint8 `(n, channels, height, width)` in the order training, validation, test;
`labels.npy`, int64 `(n,)`; and `meta.json`. It appears whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kdlib.base import paths
from kdlib.base.errors import InputError
from kdlib.data.dataset import Dataset, Split
from kdlib.data.options import BCPSource

PIXELS, LABELS, META = "pixels.u8", "labels.npy", "meta.json"


@dataclass(frozen=True)
class Meta:
    """Describe a cache: `shape` is that of one image, `counts` are the images to train, validate and test on."""

    fingerprint: str
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    counts: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]


def load(name: str, fingerprint: str, needed: int, build: Callable[[Path], Meta]) -> Dataset:
    """Load a dataset from its cache; build it first where there is none, or none that is whole.

    `build` calls `write` with the folder it is given and returns a description; `needed` is how many bytes that takes.
    Processes that build at once do not disturb each other: the first to finish wins.

    Raises: InputError when the disk is too full or the folder cannot be written.
    """
    folder = paths.datasets() / f"{name.split(':')[0]}-{fingerprint}"
    for _ in range(3):  # again only if another process takes the same torn cache away in between
        dataset = _read(folder, name, fingerprint)
        if dataset is not None:
            return dataset
        _build(folder, name, needed, build)
    dataset = _read(folder, name, fingerprint)
    if dataset is None:
        raise InputError(f"the cache of {name} in {folder} does not hold what was written: check that disk.")
    return dataset


def require_space(folder: Path, needed: int, what: str) -> None:
    """Refuse to start writing `needed` bytes below `folder` where the disk has fewer free.

    Raises: InputError, which names the bytes needed and the bytes free.
    """
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{what} needs {needed:,} bytes in {folder}, where {free:,} are free: make room, or set KDLIB_DATASETS "
            "to a folder on another disk."
        )


def memory_map(path: Path, shape: tuple[int, ...]) -> torch.Tensor:
    """Return a uint8 file as a tensor that is read from disk as it is used, never to be written to."""
    mapped = np.memmap(path, np.uint8, mode="r", shape=shape)
    with warnings.catch_warnings():
        # Read-only on purpose: a private copy-on-write map would count against memory, and may not fit.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable", category=UserWarning)
        return torch.from_numpy(mapped)


def write(
    folder: Path, images: Iterable[np.ndarray], labels: np.ndarray, train: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Write a cache's images, in pieces of uint8 `(k, channels, height, width)`, and its labels `(n,)`.

    Returns mean and standard deviation of the first `train` images, one of each a channel, rounded to six decimals.
    """
    total = squares = np.zeros(1, np.int64)  # whole numbers: the same on every machine
    pixels = 0
    with (folder / PIXELS).open("wb") as file:
        for piece in images:
            file.write(np.ascontiguousarray(piece).data)
            used, train = piece[:train], max(0, train - len(piece))
            total = total + used.sum((0, 2, 3), dtype=np.int64)
            squares = squares + np.square(used, dtype=np.int64).sum((0, 2, 3))
            pixels += used[:, 0].size
    np.save(folder / LABELS, labels.astype("<i8"), allow_pickle=False)
    mean = total / pixels / 255
    variance = np.maximum(squares / pixels / 255**2 - mean**2, 1e-10)  # one flat colour is no division by 0
    means, stds = (tuple(round(float(value), 6) for value in values) for values in (mean, np.sqrt(variance)))
    return means, stds


def _read(folder: Path, name: str, fingerprint: str) -> Dataset | None:
    """Return the dataset cached in a folder, or None if it is absent, torn or another's."""
    try:
        stored = json.loads((folder / META).read_bytes())
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored["meta"].items()}
        meta = Meta(**fields)
        shape = (sum(meta.counts), *meta.shape)
        whole = (folder / PIXELS).stat().st_size == math.prod(shape) and stored == _described(folder, stored["meta"])
        if meta.fingerprint != fingerprint or not whole:
            return None
        labels = torch.from_numpy(np.load(folder / LABELS, allow_pickle=False).astype(np.int64))
        pixels = memory_map(folder / PIXELS, shape)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    parts = (torch.split(tensor, list(meta.counts)) for tensor in (pixels, labels))
    train, val, test = (Split(*part) for part in zip(*parts, strict=True))
    return Dataset(name, train, val, test, meta.classes, BCPSource.NONE, fingerprint, meta.mean, meta.std)


def _build(folder: Path, name: str, needed: int, build: Callable[[Path], Meta]) -> None:
    require_space(folder, needed, name)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".building-", dir=folder.parent) as scratch:
            made = Path(scratch) / "made"
            made.mkdir()
            meta = build(made)
            (made / META).write_text(json.dumps(_described(made, asdict(meta)), indent=1))
            if folder.exists() and _read(folder, name, meta.fingerprint) is None:
                folder.replace(Path(scratch) / "torn")  # goes with the scratch folder
            try:
                made.replace(folder)
            except OSError:
                # A folder is in the way: another process finished first, and the caller reads what it wrote.
                if not folder.exists():
                    raise
    except OSError as error:
        raise InputError(f"the cache of {name} cannot be written below {folder.parent}: {error}.") from error


def sampled(path: Path, blocks: int = 256, size: int = 2**20) -> str:
    """Return a digest of a file, or of so many blocks of it, the first and the last among them, if it is larger."""
    h = hashlib.blake2b(digest_size=16)
    with path.open("rb") as stream:
        free = max(path.stat().st_size - size, 0)
        count = min(blocks, -(-free // size) + 1)
        for k in range(count):
            stream.seek(free * k // max(count - 1, 1))
            h.update(stream.read(size))
    return h.hexdigest()


def _described(folder: Path, meta: dict[str, Any]) -> dict[str, Any]:
    """Return what the description of a cache holds: its `Meta`, and digests of its files."""
    labels = hashlib.sha256((folder / LABELS).read_bytes()).hexdigest()
    return {"meta": meta, "labels_sha256": labels, "pixels_blake2b": sampled(folder / PIXELS)}
