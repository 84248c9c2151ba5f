"""CIFAR-10, CIFAR-100 and CIFAR-10H: real photographs, at their full size or reduced. (No torch.)"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kdlib.data.family import PAD, Family

if TYPE_CHECKING:
    from kdlib.data.dataset import Dataset

SIDES = (32, 16, 8)
"""Pixels a side: as published, and reduced; below 8 the last of three stages would look at a single position."""
SHAPE = (3, 32, 32)
COUNTS = (45_000, 5_000, 10_000)
BYTES = sum(COUNTS) * (3 * 32 * 32 + 8)

CLASSES_10 = "airplane automobile bird cat deer dog frog horse ship truck"
CLASSES_100 = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster
man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck
pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger
tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""


@dataclass(frozen=True)
class Cifar:
    """Say what distinguishes one of the two: its classes, its column of labels, its statistics, its fingerprint."""

    classes: tuple[str, ...]
    column: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str
    test_order_kept: bool
    """CIFAR-10H has one row for every test image, in the order of the original test batch."""


CIFAR = {
    "cifar10": Cifar(
        classes=tuple(CLASSES_10.split()),
        column="label",
        mean=(0.49139968, 0.48215841, 0.44653091),
        std=(0.24703223, 0.24348513, 0.26158784),
        fingerprint="8f7bb0b80a7cf7f6",
        test_order_kept=True,
    ),
    "cifar100": Cifar(
        classes=tuple(CLASSES_100.split()),
        column="fine_label",
        mean=(0.50707516, 0.48654887, 0.44091784),
        std=(0.26733429, 0.25643846, 0.27615047),
        fingerprint="2f5f1f2b96003d37",
        test_order_kept=False,
    ),
}


def fingerprint(name: str, side: int = 32) -> str:
    """Return the fingerprint of `cifar10` or `cifar100` at a size: a reduced one follows from that of the full size."""
    full = CIFAR[name].fingerprint
    return full if side == SIDES[0] else hashlib.sha256(f"{full}/area/{side}".encode()).hexdigest()[:16]


class Photographs(Family):
    """One of the two published datasets."""

    sides = SIDES

    def __init__(self, name: str, architectures: Mapping[str, str]) -> None:
        self.name, self.spellings, self.architectures = name, (name,), architectures  # type: ignore[misc]

    def side(self, image_size: int | None) -> int | None:
        """Return the size of reduced images; that of the published ones is none."""
        return None if image_size == SIDES[0] else image_size

    def in_run_names(self, name: str, image_size: int | None) -> str:
        """Return the name, with the size of reduced images."""
        return f"{name}-{image_size}" if image_size else name

    def pad(self, side: int) -> int:
        """Return as large a share of the side as four pixels are of the full size."""
        return PAD * side // SIDES[0]

    def classes(self, name: str) -> tuple[str, ...]:
        """Return the names of the classes."""
        return CIFAR[name].classes

    def fingerprint(self, name: str, root: Path, image_size: int | None) -> str:
        """Return the published images' fingerprint, or one that follows from it and the size."""
        return fingerprint(name, image_size or SIDES[0])

    def load(self, name: str, root: Path, image_size: int | None) -> Dataset:
        """Load the images, from the data root or a download."""
        from kdlib.data.cifar import images

        return images.load(name, root, image_size or SIDES[0])


class WithAnswers(Photographs):
    """CIFAR-10, whose test images have people's answers where the data root has them."""

    def load(self, name: str, root: Path, image_size: int | None) -> Dataset:
        """Load the images, and the answers to the test images."""
        from kdlib.data.cifar import humans

        return humans.with_humans(super().load(name, root, image_size), root)


class Answered(Photographs):
    """CIFAR-10H: CIFAR-10's test images alone, divided anew, with people's answers to all of them."""

    teaches = True

    def classes(self, name: str) -> tuple[str, ...]:
        """Return those of the images that people saw."""
        return CIFAR[CIFAR10.name].classes

    def fingerprint(self, name: str, root: Path, image_size: int | None) -> str:
        """Return the fingerprint of images and answers."""
        from kdlib.data.cifar import answers

        return answers.fingerprint(root, image_size or SIDES[0])

    def load(self, name: str, root: Path, image_size: int | None) -> Dataset:
        """Load the images and the answers."""
        from kdlib.data.cifar import humans

        return humans.load(root, image_size or SIDES[0])


CIFAR10 = WithAnswers("cifar10", {"teacher": "resnet56", "student": "resnet20"})
CIFAR100 = Photographs("cifar100", {"teacher": "wrn_40_2", "student": "wrn_40_1"})
CIFAR10H = Answered("cifar10h", {"teacher": "resnet20", "student": "resnet8"})
