"""What a family of datasets says of itself; what is true of one stands in its own folder. (No torch.)"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from kdlib.base.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from kdlib.data.dataset import Dataset

PAD = 4
"""How far, in pixels, a crop may move an image up, down, left or right."""


class Family(ABC):
    """Datasets of one name, or of one name and what follows it after a colon."""

    name: ClassVar[str]
    spellings: ClassVar[tuple[str, ...]]
    """How its datasets are called, for those who ask."""
    sides: ClassVar[tuple[int, ...]] = ()
    """Pixels a side that its images may have, the first by default; none of them: what the user says."""
    architectures: ClassVar[Mapping[str, str]]
    """The network of a run type, where none is given."""
    at_path: ClassVar[bool] = False
    """Whether a path follows its name."""
    exact: ClassVar[bool] = False
    """Whether class probabilities are known for the image as drawn, and for no view of it."""
    teaches: ClassVar[bool] = False
    """Whether the class probabilities of training images are known, so that students may learn from them."""

    def allows(self, name: str, image_size: int | None) -> None:
        """Refuse a name or an image size that the family does not have.

        Raises:
            InputError: it has not.
        """
        if self.sides and image_size not in (None, *self.sides):
            allowed = " or ".join(map(str, self.sides))
            raise InputError(f"image_size is {image_size}, but the images of {name} have {allowed} pixels a side.")

    def side(self, image_size: int | None) -> int | None:
        """Return the image size as configs keep it: none where it is the usual one or means nothing."""
        return None if image_size in self.sides[:1] else image_size

    def canonical(self, name: str) -> str:
        """Return the shortest name of the same dataset."""
        return name

    def in_run_names(self, name: str, image_size: int | None) -> str:
        """Return how the names of runs call a dataset."""
        return name.replace(":", "-").replace("@", "-").replace(".", "_")

    def pad(self, side: int) -> int:
        """Return how far, in pixels, a crop may move images of `side` pixels a side."""
        return PAD

    def settings(self, role: str) -> Mapping[str, Any]:
        """Return how a run type is trained on these images unless a preset says otherwise; nothing: as a preset has it.

        Args:
            role: the run type, teacher or student.
        """
        return {}

    def class_pixels(self, name: str) -> Tensor | None:
        """Return which pixels tell a class from the others `(classes, height, width)`, where that is known."""
        return None

    @abstractmethod
    def classes(self, name: str) -> tuple[str, ...]:
        """Return the names of the classes, in order, without loading images."""

    @abstractmethod
    def fingerprint(self, name: str, root: Path, image_size: int | None) -> str:
        """Return 16 hexadecimal digits: equal content, equal fingerprint."""

    @abstractmethod
    def load(self, name: str, root: Path, image_size: int | None) -> Dataset:
        """Return the dataset; `root` is the data root."""
