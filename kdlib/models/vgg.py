"""VGG networks of five (or four) stages, global average pooling and one linear layer.

Batch norm: `vgg11`, `vgg13`, `vgg16`, `vgg19` have none and the same names with `_bn` have it, as in
torchvision. `vgg8` is the student of the distillation literature, which has it although its name does not
say so; `vgg8_bn` is the same network. Parameters with 100 classes, without and with batch norm:

| | without | with |
|---|---|---|
| vgg8 | 3,962,084 (not offered) | 3,965,028 (the published 3.97 M) |
| vgg13 | 9,456,292 | 9,462,180 (both 9.46 M) |

The benchmark's own vgg13 (74.64 % on CIFAR-100) is `vgg13_bn` here.
"""

from __future__ import annotations

from functools import partial

from torch import nn

from kdlib.models.network import Architecture, out_of_place

VGG8: list[str | int] = [64, "M", 128, "M", 256, "M", 512, "M", 512, "M"]
"""One convolution a stage, in torchvision's notation; configuration S of Tian et al. 2020."""


def cut(layers: nn.Sequential, channels: int) -> list[list[nn.Module]]:
    """Split a VGG's layers at the max-pools, which are dropped; the first convolution takes `channels`."""
    out_of_place(layers)
    parts: list[list[nn.Module]] = [[]]
    for layer in layers:
        if isinstance(layer, nn.MaxPool2d):
            parts.append([])
        else:
            parts[-1].append(layer)
    first = parts[0][0]
    assert isinstance(first, nn.Conv2d)
    if channels != first.in_channels:
        parts[0][0] = nn.Conv2d(channels, first.out_channels, 3, padding=1)
    return [part for part in parts if part]


def stages(channels: int, image_size: int, configuration: str, batch_norm: bool) -> list[nn.Module]:
    """Return five stages; a max-pool opens each but the first, so outputs are what the pools see.

    Up to 32 pixels none opens the fifth (it would leave 2×2): outputs have sides 32, 16, 8, 4, 4, as in the
    benchmark of Tian et al. 2020 (arXiv:1910.10699). The mean over pixels takes the place of the last pool.
    Source: Simonyan and Zisserman 2015 (arXiv:1409.1556), table 1.
    """
    from torchvision.models.vgg import (
        cfgs,
        make_layers,
    )  # here: it takes seconds to import, and most runs need none of it

    layers = make_layers({**cfgs, "8": VGG8}[configuration], batch_norm=batch_norm)
    parts = cut(layers, channels)
    pooled = {1, 2, 3} if image_size <= 32 else {1, 2, 3, 4}
    return [nn.Sequential(*([nn.MaxPool2d(2)] if index in pooled else []), *part) for index, part in enumerate(parts)]


def compact_stages(channels: int, image_size: int, count: int) -> list[nn.Module]:
    """Return the first `count` stages of vgg13 with batch norm, without biases and without the first pool.

    These are the CIFAR variants of the Bayesian-distillation study: two convolutions a stage of 64, 128, 256,
    512 (and 512) channels; sides 32, 32, 16, 8 (and 4). `vgg_c8` has eight convolutions, `vgg_c13` ten.
    """
    from torchvision.models.vgg import (
        cfgs,
        make_layers,
    )  # here: it takes seconds to import, and most runs need none of it

    parts = cut(make_layers(cfgs["B"], batch_norm=True), channels)[:count]
    for layer in (layer for part in parts for layer in part):
        if isinstance(layer, nn.Conv2d):
            layer.bias = None  # batch norm takes any constant away
    return [nn.Sequential(*([nn.MaxPool2d(2)] if index >= 2 else []), *part) for index, part in enumerate(parts)]


def _offered() -> dict[str, Architecture]:
    offered = {
        name: Architecture(partial(stages, configuration="8", batch_norm=True), 512, smallest=8)
        for name in ("vgg8", "vgg8_bn")
    }
    for depth, key in {11: "A", 13: "B", 16: "D", 19: "E"}.items():
        for suffix in ("", "_bn"):
            make = partial(stages, configuration=key, batch_norm=suffix == "_bn")
            offered[f"vgg{depth}{suffix}"] = Architecture(make, 512, smallest=8)
    offered["vgg_c8"] = Architecture(partial(compact_stages, count=4), 512, smallest=4)
    offered["vgg_c13"] = Architecture(partial(compact_stages, count=5), 512, smallest=8)
    return offered


ARCHITECTURES = _offered()
