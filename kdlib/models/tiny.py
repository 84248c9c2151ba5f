"""Three-layer convolutional networks for 8×8 digits, named after the width of the first layer."""

from __future__ import annotations

from functools import partial

from torch import nn

from kdlib.models.network import Architecture, conv_norm_relu


def stages(channels: int, image_size: int, width: int) -> list[nn.Module]:
    """Return three stages of one 3×3 convolution of `width`, 2 `width` and 2 `width` channels.

    A max-pool opens the second and the third (sides 8, 4, 2): at this size it costs a CPU less than a strided
    convolution.
    """
    return [
        conv_norm_relu(channels, width),
        nn.Sequential(nn.MaxPool2d(2), *conv_norm_relu(width, 2 * width)),
        nn.Sequential(nn.MaxPool2d(2), *conv_norm_relu(2 * width, 2 * width)),
    ]


ARCHITECTURES = {
    f"cnn{width}": Architecture(partial(stages, width=width), 2 * width, smallest=4) for width in (4, 8, 16, 32)
}
