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

from kdlib.models.network import Architecture

VGG8: list[str | int] = [64, "M", 128, "M", 256, "M", 512, "M", 512, "M"]
"""One convolution a stage, in torchvision's notation; configuration S of Tian et al. 2020."""


def cut(configuration: str, batch_norm: bool, channels: int) -> list[list[nn.Module]]:
    """Split a VGG's layers at the max-pools, which are dropped; the first convolution takes `channels`."""
    # here: it takes seconds to import, and most runs need none of it
    from torchvision.models.vgg import cfgs, make_layers

    parts: list[list[nn.Module]] = [[]]
    for layer in make_layers({**cfgs, "8": VGG8}[configuration], batch_norm=batch_norm):
        if isinstance(layer, nn.MaxPool2d):
            parts.append([])
        else:
            parts[-1].append(layer)
    if channels != 3:
        parts[0][0] = nn.Conv2d(channels, 64, 3, padding=1)
    return parts[:-1]


def pooled(parts: list[list[nn.Module]], places: range) -> list[nn.Module]:
    """Return the stages, of which these open with a max-pool."""
    return [nn.Sequential(*([nn.MaxPool2d(2)] if place in places else []), *part) for place, part in enumerate(parts)]


def stages(channels: int, image_size: int, configuration: str, batch_norm: bool) -> list[nn.Module]:
    """Return five stages; a max-pool opens each but the first, so outputs are what the pools see.

    Up to 32 pixels none opens the fifth (it would leave 2×2): outputs have sides 32, 16, 8, 4, 4, as in the
    benchmark of Tian et al. 2020 (arXiv:1910.10699). The mean over pixels takes the place of the last pool.
    Source: Simonyan and Zisserman 2015 (arXiv:1409.1556), table 1.
    """
    return pooled(cut(configuration, batch_norm, channels), range(1, 4 if image_size <= 32 else 5))


def compact(channels: int, image_size: int, count: int) -> list[nn.Module]:
    """Return the first `count` stages of vgg13 with batch norm, without biases and without the first pool.

    These are the CIFAR variants of the Bayesian-distillation study: two convolutions a stage of 64, 128, 256,
    512 (and 512) channels; sides 32, 32, 16, 8 (and 4). `vgg_c8` has eight convolutions, `vgg_c13` ten.
    """
    parts = cut("B", True, channels)[:count]
    for layer in (layer for part in parts for layer in part):
        if isinstance(layer, nn.Conv2d):
            layer.bias = None  # batch norm takes any constant away
    return pooled(parts, range(2, count))


CONFIGURATIONS = {"vgg8": "8", "vgg11": "A", "vgg13": "B", "vgg16": "D", "vgg19": "E"}

ARCHITECTURES = {
    **{
        name + suffix: Architecture(
            partial(stages, configuration=key, batch_norm=bool(suffix) or name == "vgg8"), 512, smallest=8
        )
        for name, key in CONFIGURATIONS.items()
        for suffix in ("", "_bn")
    },
    "vgg_c8": Architecture(partial(compact, count=4), 512, smallest=4),
    "vgg_c13": Architecture(partial(compact, count=5), 512, smallest=8),
}
