"""Own images: a tree of class folders. (No torch, but to divide a tree that has no splits of its own.)"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kdlib.base.errors import InputError
from kdlib.data.family import Family
from kdlib.data.folder import tree

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

    def allows(self, name: str, image_size: int | None) -> None:
        """Refuse a size that is out of range."""
        if image_size is not None and not 8 <= image_size <= 1024:
            raise InputError(f"image_size is {image_size}, but it must be from 8 to 1024 pixels.")

    def in_run_names(self, name: str, image_size: int | None) -> str:
        """Return the family's name: a path says nothing elsewhere."""
        return self.name

    def classes(self, name: str) -> tuple[str, ...]:
        """Return the names of the class folders."""
        return tree.scan(name).classes

    def fingerprint(self, name: str, root: Path, image_size: int | None) -> str:
        """Return the fingerprint of all files at this size: every image is decoded once."""
        from kdlib.data.folder import images

        return images.fingerprint(tree.scan(name), image_size or IMAGE_SIZE)

    def load(self, name: str, root: Path, image_size: int | None) -> Dataset:
        """Decode the images, or read their cache."""
        from kdlib.data.folder import images

        return images.load(name, image_size or IMAGE_SIZE)


FOLDER = Folder()
