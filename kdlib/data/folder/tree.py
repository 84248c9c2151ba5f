"""The pictures that a folder holds, as a person sees them: splits, classes, files; or one sentence why not.

Nothing that may be a picture is left out without a word: what lies where no picture is expected, is of a type that is
not read, or would count twice, is refused by name.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from kdlib.base import paths
from kdlib.base.errors import InputError

SHARES = {"val": 0.1, "test": 0.2}
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "eval"), "test"),
}
"""The splits by the usual names of their folders, in any case."""

SUFFIXES = {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
IGNORED_SUFFIXES = {".txt", ".md", ".json", ".csv", ".tsv", ".xml", ".yaml", ".yml", ".ini", ".db"}
"""Files that are plainly no pictures: notes, annotations, and what file managers leave (`desktop.ini`, `Thumbs.db`)."""

IGNORED_FOLDERS = {"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"}
"""Folders that systems make by themselves; they are ignored as hidden files and folders are."""


@dataclass(frozen=True)
class Tree:
    """Hold the files of a folder by split, in order, each with its class number."""

    root: Path
    classes: tuple[str, ...]
    files: dict[str, list[tuple[Path, int]]]


def scan(name: str) -> Tree:
    """List the images of `folder:<path>`, sorted by path.

    Raises: InputError for a folder whose splits, classes or files cannot be told without a doubt, or not be listed;
    for all that can be seen without opening a file.
    """
    try:
        root = paths.whole(name.removeprefix("folder:"))
        if name == "folder:" or not root.is_dir():
            raise InputError(
                f"dataset is {name!r}, but {str(root)!r} is not a folder: write folder:<path of the images>."
            )
        _require_text(name + str(root.resolve()), root)
        return _scan(name, root.resolve())
    except OSError as error:
        raise InputError(f"dataset {name!r} cannot be listed: {error}.") from error


def _scan(name: str, root: Path) -> Tree:
    parts = _splits(name, root)
    classes = _folders(parts["train"])
    if len(classes) < 2:
        raise InputError(f"dataset {name} needs at least two class folders in {parts['train']}, not {len(classes)}.")
    for label in classes if parts["train"] == root else ():
        inner = [found for found in _folders(root / label) if found.lower() in SPLITS]
        if inner:
            raise InputError(
                f"dataset {name} has {inner[0]!r} inside of its class {label!r}: put the classes into the splits, as "
                f"in train/{label}, or name the folder that holds train."
            )
    for place in (root, *parts.values()):
        for path in _entries(place):
            # Beside the splits may lie a licence or an archive.
            if not path.is_dir() and (place != root or path.suffix.lower() in SUFFIXES):
                raise InputError(f"{str(path)!r} lies in no class folder: move it into one, or out of the folder.")
    files: dict[str, list[tuple[Path, int]]] = {}
    seen: dict[Path, Path] = {}
    for part, place in parts.items():
        labels = _folders(place)
        unknown = sorted(set(labels) - set(classes))
        if unknown:
            raise InputError(f"dataset {name} has a class {unknown[0]!r} in {place} that its training images lack.")
        if not labels:
            raise InputError(f"dataset {name} has no images in {place}: fill the folder or remove it.")
        numbered = [(number, place / label) for number, label in enumerate(classes) if label in labels]
        files[part] = [(path, number) for number, folder in numbered for path in _images(root, folder, seen)]
    missing = {part: share for part, share in SHARES.items() if part not in files}
    if missing:
        import torch

        from kdlib.data.subsets import partition

        everything = files["train"]
        *taken, rest = partition(torch.tensor([number for _, number in everything]), tuple(missing.values()))
        for part, rows in zip([*missing, "train"], [*taken, rest], strict=True):
            files[part] = [everything[row] for row in rows.tolist()]
    return Tree(root, classes, {part: files[part] for part in ("train", "val", "test")})


def _splits(name: str, root: Path) -> dict[str, Path]:
    """Return the folder of each split that there is; without any, the class folders lie in the root.

    Beside a split stands nothing else, and two names for one split are refused. Names that only hint at splits
    (`seg_train` beside `seg_test`) are refused too: as classes they would mean that all test images are trained on.
    """
    folders = _folders(root)
    known = {folder: SPLITS[folder.lower()] for folder in folders if folder.lower() in SPLITS}
    if not known:
        words = [(folder, word.lower()) for folder in folders for word in re.findall("[A-Z]?[a-z]+|[A-Z]+", folder)]
        hints = {folder: SPLITS[w.removesuffix("set")] for folder, w in words if w.removesuffix("set") in SPLITS}
        if "train" in hints.values() and len(set(hints.values())) > 1:
            raise InputError(
                f"dataset {name} has folders that look like splits, {' and '.join(map(repr, hints))}: call them train, "
                "val and test; if they are classes, put all classes into a folder train."
            )
        return {"train": root}
    others = [folder for folder in folders if folder not in known]
    if others:
        raise InputError(
            f"dataset {name} has {others[0]!r} beside {' and '.join(map(repr, known))}: splits are called "
            f"{', '.join(SPLITS)}; rename it or move it away (if all are classes, put them into a folder train)."
        )
    if "train" not in known.values():
        raise InputError(f"dataset {name} has {' and '.join(known)} but no train: rename the folder to train on.")
    parts: dict[str, Path] = {}
    for folder, part in known.items():
        if part in parts:
            raise InputError(
                f"dataset {name} has two folders of {part} images, {parts[part].name!r} and {folder!r}: keep one."
            )
        parts[part] = root / folder
    return {part: parts[part] for part in ("train", "val", "test") if part in parts}


def _entries(place: Path) -> list[Path]:
    """Return what lies in a folder, sorted, without what is ignored; a link to nothing is refused."""
    found = []
    for path in sorted(place.iterdir()):
        if path.name.startswith(".") or path.name in IGNORED_FOLDERS:
            continue
        if path.suffix.lower() in IGNORED_SUFFIXES and not path.is_dir():
            continue
        if not path.exists():
            raise InputError(f"{str(path)!r} is a link to nothing: repair or remove it.")
        found.append(path)
    return found


def _folders(place: Path) -> tuple[str, ...]:
    """Return the names of the folders in a folder, which are splits or classes, sorted."""
    names = tuple(sorted(path.name for path in _entries(place) if path.is_dir()))
    for name in names:
        _require_text(name, place / name)
    return names


def _require_text(name: str, path: Path) -> None:
    """Refuse half letters of another encoding and line breaks in what is to stand in tables and files."""
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
        raise InputError(f"the folder {str(path)!r} has a name that is not printable UTF-8: rename it.")


def _images(root: Path, folder: Path, seen: dict[Path, Path]) -> list[Path]:
    """Return the images below a class folder, sorted, and note them in `seen` by the file they lead to."""
    found, places = [], [folder]
    while places:
        for path in _entries(places.pop()):
            if path.is_dir():
                if path.is_symlink():
                    raise InputError(f"{str(path)!r} in a class folder is a link to a folder: move the images there.")
                places.append(path)
                continue
            if path.suffix.lower() not in SUFFIXES:
                raise InputError(
                    f"{str(path)!r} is of a type that is not read ({', '.join(sorted(SUFFIXES))}): convert the image, "
                    "or move the file away."
                )
            if not path.is_file():
                raise InputError(f"{str(path)!r} is no regular file: remove it.")
            file = path.resolve()
            if not file.is_relative_to(root):
                raise InputError(
                    f"the image {str(path)!r} is a link to a file outside {root}: only files inside are read."
                )
            if seen.setdefault(file, path) != path:
                raise InputError(f"{str(path)!r} and {str(seen[file])!r} are one file, which would count twice.")
            found.append(path)
    if not found:
        raise InputError(f"the class folder {str(folder)!r} has no images: fill or remove it.")
    return sorted(found)
