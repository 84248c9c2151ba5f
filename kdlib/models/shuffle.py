"""ShuffleNet, version 1 with three groups and version 2 of size 1: channel shuffles between cheap convolutions."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdlib.models.network import LARGEST_CIFAR_IMAGE, Architecture, conv_norm_relu

GROUPS = 3
STEM = 24
BLOCKS = (4, 8, 4)


class ShuffleUnit(nn.Module):
    """Squeeze, shuffle, convolve by channel and expand; add to x, or at stride 2 append to pooled x.

    Source: Zhang et al. 2018 (arXiv:1707.01083), figure 2b and 2c. The first unit's squeeze is not grouped
    (section 3.2). A unit of stride 2 makes `outputs − inputs` channels, of which a quarter is the bottleneck.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.appends = stride == 2
        made = outputs - inputs if self.appends else outputs
        middle = made // 4
        self.groups = 1 if inputs == STEM else GROUPS
        self.conv1 = nn.Conv2d(inputs, middle, 1, groups=self.groups, bias=False)
        self.norm1 = nn.BatchNorm2d(middle)
        self.conv2 = nn.Conv2d(middle, middle, 3, stride, 1, groups=middle, bias=False)
        # The paper has no ReLU after the depthwise convolution; the benchmark's network has one.
        self.norm2 = nn.BatchNorm2d(middle)
        self.conv3 = nn.Conv2d(middle, made, 1, groups=GROUPS, bias=False)
        self.norm3 = nn.BatchNorm2d(made)

    def forward(self, x: Tensor) -> Tensor:
        """Return `(n, outputs, h / stride, w / stride)`."""
        y = F.relu(self.norm1(self.conv1(x)))
        if self.groups > 1:
            y = F.channel_shuffle(y, self.groups)
        y = F.relu(self.norm2(self.conv2(y)))
        y = self.norm3(self.conv3(y))
        if self.appends:
            return F.relu(torch.cat((y, F.avg_pool2d(x, 3, 2, 1)), 1))
        return F.relu(x + y)


def stages(
    channels: int, image_size: int, unit: Callable[[int, int, int], nn.Module], widths: tuple[int, ...]
) -> list[nn.Module]:
    """Return the stem and three groups of units, each of which halves the image (sides 32, 16, 8, 4).

    Up to 64 pixels the stem is a 1×1 convolution, as in the benchmark of Tian et al. 2020
    (arXiv:1910.10699); above that the papers' 3×3 of stride 2 and max-pool.
    """
    if image_size <= LARGEST_CIFAR_IMAGE:
        parts: list[nn.Module] = [conv_norm_relu(channels, STEM, kernel=1)]
    else:
        parts = [nn.Sequential(*conv_norm_relu(channels, STEM, stride=2), nn.MaxPool2d(3, 2, 1))]
    inputs = STEM
    for outputs, count in zip(widths, BLOCKS, strict=True):
        parts.append(nn.Sequential(unit(inputs, outputs, 2), *(unit(outputs, outputs, 1) for _ in range(count - 1))))
        inputs = outputs
    return parts


def version_1(channels: int, image_size: int) -> list[nn.Module]:
    """Return the stages of version 1. Source: Zhang et al. 2018 (arXiv:1707.01083), table 1, g = 3."""
    return stages(channels, image_size, ShuffleUnit, (240, 480, 960))


def version_2(channels: int, image_size: int) -> list[nn.Module]:
    """Return the stages of version 2, of torchvision's units; the last ends with the 1×1 convolution to 1024 channels.

    Source: Ma et al. 2018 (arXiv:1807.11164), table 5, size 1×.
    """
    # here: it takes seconds to import, and most runs need none of it
    from torchvision.models.shufflenetv2 import InvertedResidual

    *parts, last = stages(channels, image_size, InvertedResidual, (116, 232, 464))
    return [*parts, nn.Sequential(*last.children(), *conv_norm_relu(464, 1024, kernel=1))]


ARCHITECTURES = {
    "shufflenetv1": Architecture(version_1, 960, smallest=8),
    "shufflenetv2": Architecture(version_2, 1024, smallest=8),
}
