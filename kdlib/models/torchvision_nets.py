"""torchvision's residual networks and MobileNetV2, cut into stages, with a CIFAR stem for small images."""

from __future__ import annotations

from functools import partial

from torch import nn

from kdlib.models.network import LARGEST_CIFAR_IMAGE, Architecture


def resnet(channels: int, image_size: int, name: str) -> list[nn.Module]:
    """Return the stem and layer1 to layer4 of torchvision's `name`.

    Up to 64 pixels the stem is a 3×3 convolution of stride 1 without max-pooling, above that torchvision's
    7×7 of stride 2 with it. Source: He et al. 2016 (arXiv:1512.03385), table 1.
    """
    import torchvision  # here: it takes seconds to import, and most runs need none of it

    source = torchvision.models.get_model(name, weights=None)
    if image_size <= LARGEST_CIFAR_IMAGE:
        stem = nn.Sequential(nn.Conv2d(channels, 64, 3, 1, 1, bias=False), source.bn1, source.relu)
    else:
        conv = source.conv1 if channels == 3 else nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
        stem = nn.Sequential(conv, source.bn1, source.relu, source.maxpool)
    return [stem, source.layer1, source.layer2, source.layer3, source.layer4]


def mobilenet(channels: int, image_size: int) -> list[nn.Module]:
    """Return the stem and four groups of MobileNetV2's inverted residuals; width 0.5, expansion 6.

    Up to 64 pixels the first group keeps the stem's resolution (sides 16, 16, 8, 4, 2 of 32). The last group
    ends with the 1×1 convolution to 1280 channels. Widths are halved without rounding to eights, as in the
    benchmark of Tian et al. 2020 (arXiv:1910.10699); of its 812,836 parameters with 100 classes these are
    812,548: the first block has no expansion of ratio 1, and activations are ReLU6, as in the paper.
    Source: Sandler et al. 2018 (arXiv:1801.04381), table 2.
    """
    from torchvision.models import MobileNetV2

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
    if channels != 3:
        layers[0][0] = nn.Conv2d(channels, 16, 3, 2, 1, bias=False)
    return [layers[:1], layers[1:4], layers[4:7], layers[7:14], layers[14:]]


WIDTHS = {"resnet18": 512, "resnet34": 512, "resnet50": 2048, "resnet101": 2048, "resnet152": 2048}

ARCHITECTURES = {
    **{name: Architecture(partial(resnet, name=name), width, smallest=8) for name, width in WIDTHS.items()},
    "mobilenetv2": Architecture(mobilenet, width=1280, smallest=16),
}
