"""Own images: `folder:<path>`, a tree of class folders, decoded once to one size.

`<path>/train/<class>/<image>`, with optional `val/` and `test/` of the same classes; what is absent is taken from the
training images (10 % and 20 % of each class). Without `train/` the class folders lie in `<path>` itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from kdlib import paths, progress
from kdlib.data import cache
from kdlib.data.dataset import Dataset
from kdlib.data.subsets import SPLIT_SEED, partition
from kdlib.errors import InputError

IMAGE_SIZE = 32
"""The side, in pixels, that images get if no `image_size` is given."""

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif"}
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
MOST_PIXELS = 80_000_000
"""A larger image is refused before it is decoded: a small file can unfold to more than the memory."""

SHARES = {"val": 0.1, "test": 0.2}
CHUNK = 256


@dataclass(frozen=True)
class Tree:
    """Hold the files of a folder by split, in order, each with its class number."""

    root: Path
    classes: tuple[str, ...]
    files: dict[str, list[tuple[Path, int]]]


def load(name: str, image_size: int | None = None) -> Dataset:
    """Load `folder:<path>` as uint8 images `(n, 3, image_size, image_size)`.

    The shorter side is resized to `image_size` (default 32), then the centre is cut out; colours become RGB.

    Raises: InputError for a folder without classes or images, an image that is corrupt, too large or outside the
    folder, a class too small to divide, or a disk that cannot hold the cache.
    """
    size = _checked_size(image_size)
    tree = scan(name)
    mark = _fingerprint(tree, size)
    n = sum(len(files) for files in tree.files.values())
    return cache.load(name, mark, n * (3 * size * size + 8), partial(_build, tree=tree, size=size, fingerprint=mark))


def fingerprint(name: str, image_size: int | None = None) -> str:
    """Return the fingerprint of a folder's content at this size, from every file's path and bytes."""
    return _fingerprint(scan(name), _checked_size(image_size))


def scan(name: str) -> Tree:
    """List the images of `folder:<path>`, sorted by path.

    Raises: InputError as `load` does, for all that can be seen without opening a file.
    """
    root = Path(name.removeprefix("folder:")).expanduser()
    if name == "folder:" or not root.is_dir():
        raise InputError(f"dataset is {name!r}, but {str(root)!r} is not a folder: write folder:<path of the images>.")
    root = root.resolve()
    parts = {part: root / part for part in ("train", "val", "test") if (root / part).is_dir()}
    if "train" not in parts:
        if parts:
            raise InputError(f"dataset {name} has {' and '.join(parts)} but no train: rename the folder to train on.")
        parts = {"train": root}
    classes = _subfolders(parts["train"])
    if len(classes) < 2:
        raise InputError(f"dataset {name} needs at least two class folders in {parts['train']}, not {len(classes)}.")
    files: dict[str, list[tuple[Path, int]]] = {}
    for part, place in parts.items():
        unknown = sorted(set(_subfolders(place)) - set(classes))
        if unknown:
            raise InputError(f"dataset {name} has a class {unknown[0]!r} in {place} that its training images lack.")
        files[part] = [(path, number) for number, label in enumerate(classes) for path in _images(root, place / label)]
        if not files[part]:
            raise InputError(f"dataset {name} has no images ({', '.join(sorted(SUFFIXES))}) in {place}.")
    missing = {part: share for part, share in SHARES.items() if part not in files}
    if missing:
        everything = files["train"]
        *taken, rest = partition(torch.tensor([number for _, number in everything]), tuple(missing.values()))
        for part, rows in zip([*missing, "train"], [*taken, rest], strict=True):
            files[part] = [everything[row] for row in rows.tolist()]
    return Tree(root, classes, {part: files[part] for part in ("train", "val", "test")})


def _subfolders(place: Path) -> tuple[str, ...]:
    return tuple(sorted(p.name for p in place.iterdir() if p.is_dir() and not p.name.startswith(".")))


def _images(root: Path, folder: Path) -> list[Path]:
    """Return the images below a class folder, sorted; a link out of the root is refused."""
    found = []
    for place, _, names in os.walk(folder, followlinks=False):
        for name in names:
            path = Path(place) / name
            if path.suffix.lower() not in SUFFIXES or name.startswith("."):
                continue
            if not path.resolve().is_relative_to(root):
                raise InputError(f"the image {path} is a link to a file outside {root}: only files inside are read.")
            found.append(path)
    return sorted(found)


def _checked_size(image_size: int | None) -> int:
    size = IMAGE_SIZE if image_size is None else image_size
    if not 8 <= size <= 1024:
        raise InputError(f"image_size is {size}, but it must be from 8 to 1024 pixels.")
    return size


def _fingerprint(tree: Tree, size: int) -> str:
    """Return the fingerprint of a tree at a size.

    Reading every file takes minutes for a large tree: the result is remembered under the files' paths, sizes and
    times of change, so that it is read again only after something changed.
    """
    everything = [(part, path) for part, files in tree.files.items() for path, _ in files]
    spec = {"crop": 1, "size": size, "classes": tree.classes, "split_seed": SPLIT_SEED}
    content, state = (hashlib.sha256(json.dumps(spec, sort_keys=True).encode()) for _ in range(2))
    state.update(str(tree.root).encode())
    for _, path in everything:
        stat = path.stat()
        state.update(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    memo = paths.datasets() / "folder-fingerprints" / state.hexdigest()
    if memo.is_file() and len(known := memo.read_text()) == 16:
        return known
    for part, path in everything:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        content.update(f"{part}\0{path.relative_to(tree.root).as_posix()}\0{digest}\n".encode())
    found = content.hexdigest()[:16]
    try:
        memo.parent.mkdir(parents=True, exist_ok=True)
        scratch = memo.with_suffix(f".{os.getpid()}")
        scratch.write_text(found)
        scratch.replace(memo)
    except OSError as error:
        raise InputError(f"the folder of datasets {paths.datasets()} cannot be written: {error}.") from error
    return found


def _build(folder: Path, tree: Tree, size: int, fingerprint: str) -> cache.Meta:
    """Decode every image into a cache, a chunk at a time, so that the whole may exceed the memory."""
    order = [entry for part in ("train", "val", "test") for entry in tree.files[part]]
    counts = (len(tree.files["train"]), len(tree.files["val"]), len(tree.files["test"]))
    total, squares = np.zeros(3), np.zeros(3)
    with (
        (folder / cache.PIXELS).open("wb") as file,
        ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool,
        progress.bar(len(order), 0, "decoding images") as bar,
    ):
        for start in range(0, len(order), CHUNK):
            chunk = [path for path, _ in order[start : start + CHUNK]]
            images = np.stack(list(pool.map(partial(_decode, size=size), chunk)))
            file.write(images.tobytes())
            used = images[: max(0, counts[0] - start)].astype(np.float64) / 255  # training images alone
            total += used.sum((0, 2, 3))
            squares += np.square(used).sum((0, 2, 3))
            bar.update(len(chunk))
    cache.write_labels(folder, np.array([number for _, number in order]))
    mean = total / (counts[0] * size * size)
    std = np.sqrt(
        np.maximum(squares / (counts[0] * size * size) - mean**2, 1e-10)
    )  # one flat colour is no division by 0
    means, stds = (tuple(round(float(value), 6) for value in values) for values in (mean, std))
    return cache.Meta(fingerprint, tree.classes, (3, size, size), counts, means, stds)


def _decode(path: Path, size: int) -> np.ndarray:
    """Return an image, uint8 `(3, size, size)`: shorter side resized, centre cut out."""
    from PIL import Image

    try:
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise InputError(f"the image {path} has {width} × {height} pixels, more than {MOST_PIXELS:,}.")
            shorter = min(width, height)
            shape = (size * width // shorter, size * height // shorter)
            resized = image.convert("RGB").resize(shape, Image.Resampling.BILINEAR)
    except (Image.DecompressionBombError, OSError, SyntaxError, EOFError, IndexError, struct.error) as error:
        raise InputError(f"the image {path} cannot be read ({error}): repair or remove it.") from error
    left, top = (shape[0] - size) // 2, (shape[1] - size) // 2
    return np.asarray(resized.crop((left, top, left + size, top + size))).transpose(2, 0, 1)
