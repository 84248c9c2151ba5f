"""CIFAR-10, CIFAR-100 and CIFAR-10H: real photographs, at their full size or reduced. (No torch.)"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

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


class Photographs(Family):
    """What the published datasets share."""

    sides = SIDES
    labels: ClassVar[tuple[str, ...]]
    """The names of the classes."""
    column: ClassVar[str]
    """Where a table has their numbers."""
    mean: ClassVar[tuple[float, ...]]
    std: ClassVar[tuple[float, ...]]
    published: ClassVar[str]
    """The fingerprint at the full size."""
    test_order_kept: ClassVar[bool] = False
    """Whether the test images stay in the order of the original test batch, which people's answers have."""

    def in_run_names(self, name: str, image_size: int | None) -> str:
        """Return the name, with the size of reduced images."""
        return f"{name}-{image_size}" if image_size else name

    def pad(self, side: int) -> int:
        """Return as large a share of the side as four pixels are of the full size."""
        return PAD * side // SIDES[0]

    def classes(self, name: str) -> tuple[str, ...]:
        """Return the names of the classes."""
        return self.labels

    def full_fingerprint(self, root: Path) -> str:
        """Return the fingerprint at the full size."""
        return self.published

    def fingerprint(self, name: str, root: Path, image_size: int | None) -> str:
        """Return the published images' fingerprint, or one that follows from it and the size."""
        full = self.full_fingerprint(root)
        if self.side(image_size) is None:
            return full
        return hashlib.sha256(f"{full}/area/{image_size}".encode()).hexdigest()[:16]

    def load(self, name: str, root: Path, image_size: int | None) -> Dataset:
        """Load the images, from the data root or a download."""
        from kdlib.data.cifar import images

        return images.load(self, root, image_size or SIDES[0])


class Cifar10(Photographs):
    """CIFAR-10, whose test images have people's answers where the data root has them."""

    name = "cifar10"
    spellings = ("cifar10",)
    architectures = {"teacher": "resnet56", "student": "resnet20"}
    labels = tuple(CLASSES_10.split())
    column = "label"
    mean = (0.49139968, 0.48215841, 0.44653091)
    std = (0.24703223, 0.24348513, 0.26158784)
    published = "8f7bb0b80a7cf7f6"
    test_order_kept = True

    def load(self, name: str, root: Path, image_size: int | None) -> Dataset:
        """Load the images, and the answers to the test images; the fingerprint is that of the images."""
        from kdlib.data.cifar import answers, images

        dataset = super().load(name, root, image_size)
        return images.answered(dataset, answers.shares(root)) if answers.available(root) else dataset


class Cifar100(Photographs):
    """CIFAR-100 with its fine labels."""

    name = "cifar100"
    spellings = ("cifar100",)
    architectures = {"teacher": "wrn_40_2", "student": "wrn_40_1"}
    labels = tuple(CLASSES_100.split())
    column = "fine_label"
    mean = (0.50707516, 0.48654887, 0.44091784)
    std = (0.26733429, 0.25643846, 0.27615047)
    published = "2f5f1f2b96003d37"


class Cifar10H(Cifar10):
    """CIFAR-10H: CIFAR-10's test images alone, divided anew, with people's answers to all of them."""

    name = "cifar10h"
    spellings = ("cifar10h",)
    architectures = {"teacher": "resnet20", "student": "resnet8"}
    teaches = True

    def full_fingerprint(self, root: Path) -> str:
        """Return the fingerprint of images and answers."""
        from kdlib.data.cifar import answers

        return answers.fingerprint(root)

    def load(self, name: str, root: Path, image_size: int | None) -> Dataset:
        """Load the images and the answers."""
        from kdlib.data.cifar import answers, images

        people = answers.shares(root)  # without them there is no use for the images
        photographs = images.answered(images.load(CIFAR10, root, image_size or SIDES[0]), people)
        return images.divided(photographs, name, self.fingerprint(name, root, image_size))


CIFAR10, CIFAR100, CIFAR10H = Cifar10(), Cifar100(), Cifar10H()
