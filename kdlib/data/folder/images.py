"""Own images: `folder:<path>`, a tree of class folders, decoded once to one size.

`<path>/train/<class>/<image>`, with optional `val/` and `test/` of the same classes; what is absent is taken from the
training images (10 % and 20 % of each class). Without `train/` the class folders lie in `<path>` itself.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from kdlib.base import paths, progress
from kdlib.base.errors import InputError
from kdlib.data import cache
from kdlib.data.dataset import Dataset
from kdlib.data.folder import IMAGE_SIZE
from kdlib.data.folder.picture import decode, examine
from kdlib.data.folder.tree import Tree, scan
from kdlib.data.options import SPLIT_SEED

CHUNK = 256
T = TypeVar("T")


def load(name: str, image_size: int | None = None) -> Dataset:
    """Load `folder:<path>` as uint8 images `(n, 3, image_size, image_size)`.

    Pixels are those a viewer shows (`kdlib.data.picture`): the shorter side is resized to `image_size` (default 32),
    then the centre is cut out; colours become RGB.

    Raises: InputError for a folder that `kdlib.data.tree.scan` refuses, an image that is corrupt or too large, a class
    too small to divide, or a disk that cannot hold the cache.
    """
    size = _checked_size(image_size)
    tree = scan(name)
    mark = _fingerprint(tree, size)
    n = sum(len(files) for files in tree.files.values())
    return cache.load(name, mark, n * (3 * size * size + 8), partial(_build, tree=tree, size=size, fingerprint=mark))


def fingerprint(name: str, image_size: int | None = None) -> str:
    """Return the fingerprint of a folder's content at this size, from every file's path and bytes.

    Raises: InputError as `load`: every image is decoded once.
    """
    return _fingerprint(scan(name), _checked_size(image_size))


def _checked_size(image_size: int | None) -> int:
    size = IMAGE_SIZE if image_size is None else image_size
    if not 8 <= size <= 1024:
        raise InputError(f"image_size is {size}, but it must be from 8 to 1024 pixels.")
    return size


def _fingerprint(tree: Tree, size: int) -> str:
    """Return the fingerprint of a tree at a size.

    Reading every file takes minutes for a large tree: the result is remembered under the files' paths, sizes, numbers
    and times of change, so that they are read again only after something changed. A copy that keeps size and time of
    writing still has another number or time of change.
    """
    everything = [(part, path) for part, files in tree.files.items() for path, _ in files]
    spec = {"crop": 1, "size": size, "classes": tree.classes, "split_seed": SPLIT_SEED}
    content, state = (hashlib.sha256(json.dumps(spec, sort_keys=True).encode()) for _ in range(2))
    state.update(b"examined" + os.fsencode(tree.root))
    for part, path in everything:
        try:
            stat = path.stat()
        except OSError as error:
            raise InputError(f"the image {str(path)!r} cannot be read ({error.strerror}).") from error
        times = f"{stat.st_size}\0{stat.st_ino}\0{stat.st_mtime_ns}\0{stat.st_ctime_ns}"
        state.update(f"{part}\0".encode() + os.fsencode(path) + f"\0{times}\n".encode())
    memo = paths.datasets() / "folder-fingerprints" / state.hexdigest()
    if memo.is_file() and len(known := memo.read_text()) == 16:
        return known
    files = [path for _, path in everything]
    examined = (one for chunk in _each(partial(examine, size=size), files, "reading images") for one in chunk)
    for (part, path), (digest, differs) in zip(everything, examined, strict=True):
        # Only the images that former versions showed otherwise are marked: folders without any keep their fingerprint.
        shown = "\0as a viewer shows it" if differs else ""
        relative = os.fsencode(path.relative_to(tree.root).as_posix())
        content.update(f"{part}\0".encode() + relative + f"\0{digest}{shown}\n".encode())
    found = content.hexdigest()[:16]
    try:
        memo.parent.mkdir(parents=True, exist_ok=True)
        scratch = memo.with_suffix(f".{os.getpid()}")
        scratch.write_text(found)
        scratch.replace(memo)
    except OSError as error:
        raise InputError(f"the folder of datasets {paths.datasets()} cannot be written: {error}.") from error
    return found


def _each(work: Callable[[Path], T], files: Sequence[Path], label: str) -> Iterator[list[T]]:
    """Do the same with every file in threads; yield the results in order, a chunk at a time."""
    with (
        ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool,
        progress.bar(len(files), 0, label) as bar,
    ):
        for start in range(0, len(files), CHUNK):
            done = list(pool.map(work, files[start : start + CHUNK]))
            yield done
            bar.update(len(done))


def _build(folder: Path, tree: Tree, size: int, fingerprint: str) -> cache.Meta:
    """Decode every image into a cache, a chunk at a time, so that the whole may exceed the memory."""
    order = [entry for part in ("train", "val", "test") for entry in tree.files[part]]
    counts = (len(tree.files["train"]), len(tree.files["val"]), len(tree.files["test"]))
    total, squares, start = np.zeros(3), np.zeros(3), 0
    with (folder / cache.PIXELS).open("wb") as file:
        for chunk in _each(partial(decode, size=size), [path for path, _ in order], "decoding images"):
            images = np.stack(chunk)
            file.write(images.tobytes())
            used = images[: max(0, counts[0] - start)].astype(np.float64) / 255  # training images alone
            total += used.sum((0, 2, 3))
            squares += np.square(used).sum((0, 2, 3))
            start += len(chunk)
    cache.write_labels(folder, np.array([number for _, number in order]))
    mean = total / (counts[0] * size * size)
    std = np.sqrt(
        np.maximum(squares / (counts[0] * size * size) - mean**2, 1e-10)
    )  # one flat colour is no division by 0
    means, stds = (tuple(round(float(value), 6) for value in values) for values in (mean, std))
    return cache.Meta(fingerprint, tree.classes, (3, size, size), counts, means, stds)
