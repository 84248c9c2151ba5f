"""Residual networks for CIFAR: depth 6n + 2, three groups of n basic blocks."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from kdlib.models.network import Architecture, conv_norm_relu


class BasicBlock(nn.Module):
    """Add two 3×3 convolutions to a shortcut: y = relu(f(x) + s(x)).

    s is the identity, or a 1×1 convolution with batch norm where the shape changes (option B).
    Source: He et al. 2016 (arXiv:1512.03385), section 3.3 and figure 2.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Return y `(n, outputs, h / stride, w / stride)`."""
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


def stages(channels: int, image_size: int, depth: int, widths: tuple[int, int, int, int]) -> list[nn.Module]:
    """Return the stem and the three groups; the second and third halve the image.

    Source: He et al. 2016, section 4.2; the widths of the ×4 nets are those of the benchmark of
    Tian et al. 2020 (arXiv:1910.10699).
    """
    n = (depth - 2) // 6
    parts: list[nn.Module] = [conv_norm_relu(channels, widths[0])]
    for group, (inputs, outputs) in enumerate(pairwise(widths)):
        first = BasicBlock(inputs, outputs, stride=1 if group == 0 else 2)
        parts.append(nn.Sequential(first, *(BasicBlock(outputs, outputs, 1) for _ in range(n - 1))))
    return parts


NARROW = (16, 16, 32, 64)
WIDE = (32, 64, 128, 256)

ARCHITECTURES = {
    f"resnet{depth}": Architecture(partial(stages, depth=depth, widths=NARROW), NARROW[-1], smallest=4)
    for depth in (8, 14, 20, 32, 44, 56, 110)
} | {
    f"resnet{depth}x4": Architecture(partial(stages, depth=depth, widths=WIDE), WIDE[-1], smallest=4)
    for depth in (8, 32)
}
