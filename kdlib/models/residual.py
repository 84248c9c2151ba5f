"""Residual networks for CIFAR, three groups of n blocks: basic (depth 6n + 2) and wide, pre-activated (6n + 4)."""

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


class PreActivationBlock(nn.Module):
    """Normalise and activate before each convolution: y = f(x) + s(x).

    With z = relu(norm(x)), f is two convolutions of z; s(x) = x, or a 1×1 convolution of z where the shape
    changes. Source: He et al. 2016 (arXiv:1603.05027), figure 1b; Zagoruyko and Komodakis 2016
    (arXiv:1605.07146), figure 1.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        # Only a change of the number of channels needs a shortcut: wrn_*_1's first group keeps x itself.
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        """Return y `(n, outputs, h / stride, w / stride)`, not activated."""
        z = F.relu(self.norm1(x))
        y: Tensor = self.conv2(F.relu(self.norm2(self.conv1(z))))
        return y + (x if self.shortcut is None else self.shortcut(z))


def groups(block: type[BasicBlock | PreActivationBlock], widths: tuple[int, ...], n: int) -> list[nn.Module]:
    """Return three groups of n blocks; the second and third halve the image."""
    return [
        nn.Sequential(block(inputs, outputs, stride), *(block(outputs, outputs, 1) for _ in range(n - 1)))
        for (inputs, outputs), stride in zip(pairwise(widths), (1, 2, 2), strict=True)
    ]


def basic(channels: int, image_size: int, depth: int, widths: tuple[int, ...]) -> list[nn.Module]:
    """Return the stem and the three groups.

    Source: He et al. 2016 (arXiv:1512.03385), section 4.2; the widths of the ×4 nets are those of the benchmark of
    Tian et al. 2020 (arXiv:1910.10699).
    """
    return [conv_norm_relu(channels, widths[0]), *groups(BasicBlock, widths, (depth - 2) // 6)]


def wide(channels: int, image_size: int, depth: int, widen: int) -> list[nn.Module]:
    """Return the stem (a convolution) and the three groups, `widen` times as wide.

    The last group ends with the network's final batch norm and ReLU, so that its mean is the embedding;
    the outputs of the others are sums that the next group activates.
    Source: Zagoruyko and Komodakis 2016 (arXiv:1605.07146), table 1.
    """
    stem = nn.Conv2d(channels, 16, 3, 1, 1, bias=False)
    first, second, last = groups(PreActivationBlock, (16, 16 * widen, 32 * widen, 64 * widen), (depth - 4) // 6)
    return [stem, first, second, nn.Sequential(*last.children(), nn.BatchNorm2d(64 * widen), nn.ReLU())]


def _basic(depth: int, widths: tuple[int, ...]) -> Architecture:
    return Architecture(partial(basic, depth=depth, widths=widths), widths[-1], smallest=4)


ARCHITECTURES = {
    **{f"resnet{depth}": _basic(depth, (16, 16, 32, 64)) for depth in (8, 14, 20, 32, 44, 56, 110)},
    **{f"resnet{depth}x4": _basic(depth, (32, 64, 128, 256)) for depth in (8, 32)},
    **{
        f"wrn_{depth}_{widen}": Architecture(partial(wide, depth=depth, widen=widen), 64 * widen, smallest=4)
        for depth in (16, 40)
        for widen in (1, 2)
    },
}
