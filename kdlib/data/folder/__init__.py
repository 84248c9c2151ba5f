"""Own images: a tree of class folders. (No torch, but to divide a tree that has no splits of its own.)"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kdlib.data.family import Family

if TYPE_CHECKING:
    from kdlib.data.dataset import Dataset

IMAGE_SIZE = 32
"""The side, in pixels, that images get if no `image_size` is given."""


class Folder(Family):
    """`folder:<path>`, at any size."""

    name = "folder"
    spellings = ("folder:<path>",)
    at_path = True
    architectures = {"teacher": "resnet50", "student": "resnet18"}

    def in_run_names(self, name: str, image_size: int | None) -> str:
        """Return the family's name: a path says nothing elsewhere."""
        return self.name

    def classes(self, name: str) -> tuple[str, ...]:
        """Return the names of the class folders."""
        from kdlib.data.folder.tree import scan

        return scan(name).classes

    def fingerprint(self, name: str, root: Path, image_size: int | None) -> str:
        """Return the fingerprint of all files at this size: every image is decoded once."""
        from kdlib.data.folder.images import fingerprint

        return fingerprint(name, image_size)

    def load(self, name: str, root: Path, image_size: int | None) -> Dataset:
        """Decode the images, or read their cache."""
        from kdlib.data.folder.images import load

        return load(name, image_size)


FOLDER = Folder()
