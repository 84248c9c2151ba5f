"""MobileNetV2 of half width, the small student of the distillation literature."""

from __future__ import annotations

from torch import nn

from kdlib.models.network import LARGEST_CIFAR_IMAGE, Architecture, out_of_place


def stages(channels: int, image_size: int) -> list[nn.Module]:
    """Return the stem and four groups of torchvision's inverted residuals; width 0.5, expansion 6.

    Up to 64 pixels the first group keeps the stem's resolution (sides 16, 16, 8, 4, 2 of 32). The last group
    ends with the 1×1 convolution to 1280 channels. Widths are halved without rounding to eights, as in the
    benchmark of Tian et al. 2020 (arXiv:1910.10699); of its 812,836 parameters with 100 classes these are
    812,548: the first block has no expansion of ratio 1, and activations are ReLU6, as in the paper.
    Source: Sandler et al. 2018 (arXiv:1801.04381), table 2.
    """
    from torchvision.models import MobileNetV2  # here: it takes seconds to import, and most runs need none of it

    stride = 1 if image_size <= LARGEST_CIFAR_IMAGE else 2
    setting = [  # expansion, channels at full width, blocks, stride of the first
        [1, 16, 1, 1],
        [6, 24, 2, stride],
        [6, 32, 3, 2],
        [6, 64, 4, 2],
        [6, 96, 3, 1],
        [6, 160, 3, 2],
        [6, 320, 1, 1],
    ]
    layers = MobileNetV2(width_mult=0.5, inverted_residual_setting=setting, round_nearest=1).features
    out_of_place(layers)
    if channels != 3:
        layers[0][0] = nn.Conv2d(channels, 16, 3, 2, 1, bias=False)
    return [layers[:1], layers[1:4], layers[4:7], layers[7:14], layers[14:]]


ARCHITECTURES = {"mobilenetv2": Architecture(stages, width=1280, smallest=16)}
