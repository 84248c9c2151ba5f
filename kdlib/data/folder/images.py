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
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from kdlib.base import paths, progress
from kdlib.base.errors import InputError, NotWritten
from kdlib.base.files import write_atomically
from kdlib.data import cache
from kdlib.data.dataset import Dataset
from kdlib.data.folder.picture import decode, examine
from kdlib.data.folder.tree import Tree, scan
from kdlib.data.options import SPLIT_SEED

CHUNK = 256
T = TypeVar("T")


def load(name: str, size: int) -> Dataset:
    """Load `folder:<path>` as uint8 images `(n, 3, size, size)`.

    Pixels are those a viewer shows (`kdlib.data.folder.picture`): the shorter side is resized to `size`, then the
    centre is cut out; colours become RGB.

    Raises: InputError for a folder that `kdlib.data.folder.tree.scan` refuses, an image that is corrupt or too large, a
    class too small to divide, or a disk that cannot hold the cache.
    """
    tree = scan(name)
    mark = fingerprint(tree, size)

    def build(folder: Path) -> cache.Meta:
        """Decode every image into a cache, a chunk at a time, so that the whole may exceed the memory."""
        files, numbers = zip(*(entry for part in tree.files.values() for entry in part), strict=True)
        chunks = _each(partial(decode, size=size), files, "decoding images")
        train, val, test = (len(part) for part in tree.files.values())
        mean, std = cache.write(folder, map(np.stack, chunks), np.array(numbers), train)
        return cache.Meta(mark, tree.classes, (3, size, size), (train, val, test), mean, std)

    n = sum(len(part) for part in tree.files.values())
    return cache.load(name, mark, n * (3 * size * size + 8), build)


def fingerprint(tree: Tree, size: int) -> str:
    """Return the fingerprint of a folder's content at a size, from every file's path and bytes.

    Reading and decoding every file takes minutes for a large tree: the result is remembered under the files' paths,
    sizes, numbers and times of change, so that they are read again only after something changed. A copy that keeps size
    and time of writing still has another number or time of change.

    Raises: InputError as `load`.
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
    chunks = _each(partial(examine, size=size), [path for _, path in everything], "reading images")
    examined = (one for chunk in chunks for one in chunk)
    for (part, path), (digest, differs) in zip(everything, examined, strict=True):
        # Only the images that former versions showed otherwise are marked: folders without any keep their fingerprint.
        shown = "\0as a viewer shows it" if differs else ""
        relative = os.fsencode(path.relative_to(tree.root).as_posix())
        content.update(f"{part}\0".encode() + relative + f"\0{digest}{shown}\n".encode())
    found = content.hexdigest()[:16]
    with suppress(NotWritten):  # to remember is not needed; who cannot write a cache is told so when it is built
        write_atomically(memo, found.encode())
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
