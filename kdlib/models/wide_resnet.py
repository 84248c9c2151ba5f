"""Wide residual networks for CIFAR: depth 6n + 4, pre-activation blocks, k times as wide."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from kdlib.models.network import Architecture


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


def stages(channels: int, image_size: int, depth: int, widen: int) -> list[nn.Module]:
    """Return the stem (a convolution) and the three groups; the second and third halve the image.

    The last group ends with the network's final batch norm and ReLU, so that its mean is the embedding;
    the outputs of the others are sums that the next group activates.
    Source: Zagoruyko and Komodakis 2016 (arXiv:1605.07146), table 1.
    """
    n = (depth - 4) // 6
    widths = (16, 16 * widen, 32 * widen, 64 * widen)
    parts: list[nn.Module] = [nn.Conv2d(channels, widths[0], 3, 1, 1, bias=False)]
    for group, (inputs, outputs) in enumerate(pairwise(widths)):
        layers: list[nn.Module] = [PreActivationBlock(inputs, outputs, stride=1 if group == 0 else 2)]
        layers += [PreActivationBlock(outputs, outputs, 1) for _ in range(n - 1)]
        if group == 2:
            layers += [nn.BatchNorm2d(outputs), nn.ReLU()]
        parts.append(nn.Sequential(*layers))
    return parts


ARCHITECTURES = {
    f"wrn_{depth}_{widen}": Architecture(partial(stages, depth=depth, widen=widen), 64 * widen, smallest=4)
    for depth in (16, 40)
    for widen in (1, 2)
}
