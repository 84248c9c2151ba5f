"""Every architecture by name: `build(name, classes, channels, image_size)` gives a `Network`. (No torch to name them.)

May import `base`. A family of architectures is a file; its names stand here, so that configs are checked without it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from kdlib.base.errors import InputError

if TYPE_CHECKING:
    from kdlib.models.network import Network

__all__ = ["FILES", "NAMES", "build", "has_batch_norm"]

FILES: dict[str, tuple[str, ...]] = {
    "tiny": ("cnn4", "cnn8", "cnn16", "cnn32"),
    "residual": (
        "resnet8", "resnet14", "resnet20", "resnet32", "resnet44", "resnet56", "resnet110", "resnet8x4", "resnet32x4",
        "wrn_16_1", "wrn_16_2", "wrn_40_1", "wrn_40_2",
    ),
    "vgg": (
        "vgg8", "vgg8_bn", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn",
        "vgg_c8", "vgg_c13",
    ),
    "torchvision_nets": ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "mobilenetv2"),
    "shuffle": ("shufflenetv1", "shufflenetv2"),
}  # fmt: skip
"""Names by the file that makes them, in its `ARCHITECTURES`."""

NAMES: tuple[str, ...] = tuple(name for names in FILES.values() for name in names)
"""Every architecture that `build` knows."""

WITHOUT_BATCH_NORM = ("vgg11", "vgg13", "vgg16", "vgg19")


def build(name: str, classes: int, channels: int, image_size: int = 32) -> Network:
    """Return a new network, its weights drawn from torch's global random state.

    `image_size` is the side in pixels: above 64, networks that were made for ImageNet keep their stem; the
    weights of two networks that differ in nothing else have the same shapes up to there.

    Raises: InputError for an unknown name, less than two classes, no channel or an image too small.
    """
    from kdlib.models.network import Network, initialise

    if name not in NAMES:
        raise InputError(f"architecture {name!r} is not known: it must be one of {', '.join(NAMES)}.")
    if classes < 2:
        raise InputError(f"classes {classes} is too few for {name}: it must be at least 2.")
    if channels < 1:
        raise InputError(f"channels {channels} is too few for {name}: it must be at least 1.")
    file = next(file for file, names in FILES.items() if name in names)
    architecture = import_module(f"kdlib.models.{file}").ARCHITECTURES[name]
    if image_size < architecture.smallest:
        raise InputError(
            f"image_size {image_size} is too small for architecture {name}: it must be at least "
            f"{architecture.smallest} pixels."
        )
    network = Network(name, architecture.stages(channels, image_size), architecture.width, classes, channels)
    initialise(network)
    return network


def has_batch_norm(name: str) -> bool:
    """Say whether an architecture that `build` knows normalises by batch statistics."""
    return name not in WITHOUT_BATCH_NORM
