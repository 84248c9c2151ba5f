"""What every network is: stages, a pooled embedding, a linear head and its own normalisation."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kdlib.base.errors import InputError

LARGEST_CIFAR_IMAGE = 64
"""Side in pixels up to which networks with an ImageNet stem get a CIFAR stem instead."""


@dataclass(frozen=True)
class Architecture:
    """Say how a network's stages are made.

    `stages(channels, image_size)` gives the stages in order, `width` is the number of channels of the last
    one, `smallest` the smallest side of an image in pixels whose feature maps never vanish.
    """

    stages: Callable[[int, int], list[nn.Module]]
    width: int
    smallest: int


class Network(nn.Module):
    """Classify images: logits = head(mean over pixels of the last stage of (x − mean) / std).

    `blocks` are the stages in order: the stem, then each group of one resolution. `mean` and `std`
    `(channels,)` are saved with the weights and are the identity until `set_normalisation`.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, stages: Sequence[nn.Module], width: int, classes: int, channels: int) -> None:
        super().__init__()
        self.name = name
        self.classes = classes
        self.channels = channels
        self.blocks = nn.ModuleList(stages)
        for layer in self.blocks.modules():
            if isinstance(layer, nn.ReLU | nn.ReLU6):
                layer.inplace = False  # so that what a hook or `stages` holds stays as it was
        self.head = nn.Linear(width, classes)
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))

    def set_normalisation(self, mean: Sequence[float] | Tensor, std: Sequence[float] | Tensor) -> None:
        """Take the training images' mean and standard deviation, one of each a channel.

        Raises: InputError for another number of values than `channels`, or a value that cannot be used.
        """
        mean, std = torch.as_tensor(mean), torch.as_tensor(std)
        if not mean.shape == std.shape == (self.channels,):
            raise InputError(
                f"mean and std of shapes {tuple(mean.shape)} and {tuple(std.shape)} do not fit {self.name}: each must "
                f"hold one value for each of the {self.channels} channels."
            )
        if not (mean.isfinite() & std.isfinite() & (std > 0)).all():
            raise InputError(f"mean {mean} and std {std} must be finite, and std greater than zero in every channel.")
        self.mean.copy_(mean)
        self.std.copy_(std)

    def normalise(self, x: Tensor) -> Tensor:
        """Return (x − mean) / std of images `(n, channels, height, width)`."""
        return (x - self.mean[:, None, None]) / self.std[:, None, None]

    def stages(self, x: Tensor) -> list[Tensor]:
        """Return the output `(n, c, h, w)` of every stage, the stem first; none is overwritten later."""
        outputs = []
        x = self.normalise(x)
        for block in self.blocks:
            x = block(x)
            outputs.append(x)
        return outputs

    def embed(self, x: Tensor) -> Tensor:
        """Return the features `(n, d)`: the last stage averaged over its pixels."""
        x = self.normalise(x)
        for block in self.blocks:  # not stages(x)[-1]: without a gradient the early maps are freed here
            x = block(x)
        return x.mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits `(n, classes)`."""
        logits: Tensor = self.head(self.embed(x))
        return logits


def initialise(module: nn.Module) -> None:
    """Draw every convolution from N(0, 2 / fan_out); batch norms start as the identity, biases at zero.

    fan_out is output channels × kernel area, also for grouped convolutions (as PyTorch and the literature's
    code count it). Linear layers keep PyTorch's default. Source: He et al. 2015 (arXiv:1502.01852), equation 14.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d) and layer.weight.is_meta:
            continue  # shapes alone: a draw of nothing would import half of torch's compiler
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)


def conv_norm_relu(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Return convolution (no bias, same padding), batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def flops(network: nn.Module, shape: Sequence[int]) -> int:
    """Count the floating-point operations of one image `(channels, height, width)` going forward.

    Convolutions and matrix products only; a multiply-add counts as two. Nothing is computed and the
    network is not changed.
    """
    from torch.utils.flop_counter import FlopCounterMode  # and Triton: only where it is asked for

    shadow = copy.deepcopy(network).to("meta").eval()
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        shadow(torch.empty(1, *shape, device="meta"))
    return int(counter.get_total_flops())
