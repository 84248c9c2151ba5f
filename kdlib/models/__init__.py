"""Every architecture by name: `build(name, classes, channels, image_size)` gives a `Network`."""

from __future__ import annotations

import functools

import torch
from torch import nn

from kdlib.base.errors import InputError
from kdlib.models import mobile, resnet_cifar, shuffle_v1, shuffle_v2, tiny, torchvision_nets, vgg, wide_resnet
from kdlib.models.network import Architecture, Network, flops, initialise

__all__ = ["NAMES", "Network", "build", "flops", "has_batch_norm"]

_ARCHITECTURES: dict[str, Architecture] = {
    **tiny.ARCHITECTURES,
    **resnet_cifar.ARCHITECTURES,
    **wide_resnet.ARCHITECTURES,
    **vgg.ARCHITECTURES,
    **torchvision_nets.ARCHITECTURES,
    **mobile.ARCHITECTURES,
    **shuffle_v1.ARCHITECTURES,
    **shuffle_v2.ARCHITECTURES,
}

NAMES: tuple[str, ...] = tuple(_ARCHITECTURES)
"""Every architecture that `build` knows."""


def build(name: str, classes: int, channels: int, image_size: int = 32) -> Network:
    """Return a new network, its weights drawn from torch's global random state.

    `image_size` is the side in pixels: above 64, networks that were made for ImageNet keep their stem; the
    weights of two networks that differ in nothing else have the same shapes up to there.

    Raises: InputError for an unknown name, less than two classes, no channel or an image too small.
    """
    if name not in _ARCHITECTURES:
        raise InputError(f"architecture {name!r} is not known: it must be one of {', '.join(NAMES)}.")
    if classes < 2:
        raise InputError(f"classes {classes} is too few for {name}: it must be at least 2.")
    if channels < 1:
        raise InputError(f"channels {channels} is too few for {name}: it must be at least 1.")
    architecture = _ARCHITECTURES[name]
    if image_size < architecture.smallest:
        raise InputError(
            f"image_size {image_size} is too small for architecture {name}: it must be at least "
            f"{architecture.smallest} pixels."
        )
    stages = architecture.stages(channels, image_size)
    network = Network(name, stages, architecture.width, classes, channels)
    initialise(network)
    return network


@functools.cache
def has_batch_norm(name: str) -> bool:
    """Say whether an architecture that `build` knows normalises by batch statistics."""
    with torch.device("meta"):  # shapes alone
        network = build(name, 2, 1, _ARCHITECTURES[name].smallest)
    return any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
