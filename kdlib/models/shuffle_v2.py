"""ShuffleNet V2 of size 1, from torchvision's units."""

from __future__ import annotations

from torch import nn

from kdlib.models.network import LARGEST_CIFAR_IMAGE, Architecture, conv_norm_relu, out_of_place

STEM = 24
WIDTHS = (116, 232, 464)
BLOCKS = (4, 8, 4)
LAST = 1024


def stages(channels: int, image_size: int) -> list[nn.Module]:
    """Return the stem and three groups, each of which halves the image (sides 32, 16, 8, 4).

    The last group ends with the 1×1 convolution to 1024 channels. Up to 64 pixels the stem is a 1×1
    convolution, as in the benchmark of Tian et al. 2020 (arXiv:1910.10699); above that the paper's 3×3 of
    stride 2 and max-pool. Source: Ma et al. 2018 (arXiv:1807.11164), table 5, size 1×.
    """
    from torchvision.models.shufflenetv2 import (
        InvertedResidual,
    )  # here: it takes seconds to import, and most runs need none of it

    if image_size <= LARGEST_CIFAR_IMAGE:
        stem = conv_norm_relu(channels, STEM, kernel=1)
    else:
        stem = nn.Sequential(*conv_norm_relu(channels, STEM, stride=2), nn.MaxPool2d(3, 2, 1))
    parts: list[nn.Module] = [stem]
    inputs = STEM
    for outputs, count in zip(WIDTHS, BLOCKS, strict=True):
        layers: list[nn.Module] = [InvertedResidual(inputs, outputs, 2)]
        layers += [InvertedResidual(outputs, outputs, 1) for _ in range(count - 1)]
        if outputs == WIDTHS[-1]:
            layers += [*conv_norm_relu(outputs, LAST, kernel=1)]
        parts.append(nn.Sequential(*layers))
        inputs = outputs
    for part in parts:
        out_of_place(part)
    return parts


ARCHITECTURES = {"shufflenetv2": Architecture(stages, LAST, smallest=8)}
