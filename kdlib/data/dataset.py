"""What every dataset is: images, labels and, where they are known, Bayes class probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kdlib.data.options import BCPSource


@dataclass(frozen=True, eq=False)
class Split:
    """Hold the images and labels of one part of a dataset.

    `pixels` `(n, channels, height, width)` are as stored, uint8 (memory-mapped, never to be written to) or float32;
    `labels` `(n,)` are int64; `bcp` `(n, classes)` is float32 with rows that sum to one, or None.
    """

    pixels: Tensor
    labels: Tensor
    bcp: Tensor | None = None

    @property
    def images(self) -> Tensor:
        """Return all images, float32 `(n, channels, height, width)` in [0, 1] (`digits`: as drawn)."""
        return to_float(self.pixels)

    def take(self, index: Tensor) -> Tensor:
        """Return the images of these rows, float32 `(len(index), channels, height, width)`.

        Rows are gathered before they are converted, so a memory-mapped split costs what is taken.
        """
        return to_float(self.pixels[index])

    def to(self, device: torch.device | str) -> Split:
        """Return this split with its tensors on `device` (itself where they are there already)."""
        bcp = None if self.bcp is None else self.bcp.to(device)
        return Split(self.pixels.to(device), self.labels.to(device), bcp)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Hold a named dataset: its three splits, its classes and what identifies its content.

    `fingerprint` is 16 hexadecimal digits: equal content, equal fingerprint, on every machine. `mean` and `std`
    are those of the training images, one a channel, for the networks' normalisation buffers.
    """

    name: str
    train: Split
    val: Split
    test: Split
    classes: tuple[str, ...]
    bcp_source: BCPSource
    fingerprint: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def channels(self) -> int:
        """Return the number of colour channels."""
        return self.train.pixels.shape[1]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return the shape of one image, `(channels, height, width)`."""
        channels, height, width = self.train.pixels.shape[1:]
        return channels, height, width


def to_float(pixels: Tensor) -> Tensor:
    """Return pixels as float32 images in [0, 1] (`digits`: as drawn)."""
    # A uint8 pixel of 255 is full brightness; float images (digits) are what was drawn, never rescaled.
    return pixels.float().div_(255) if pixels.dtype == torch.uint8 else pixels
