"""Random views of images: a function of (seed, epoch, image), the same on every device and in every batch."""

from __future__ import annotations

import torch
from torch import Tensor

from kdlib.base.errors import InputError
from kdlib.base.hashing import random_bits
from kdlib.data.family import PAD
from kdlib.data.options import Augmentation


def offsets(seed: int, epoch: int, index: Tensor, pad: int = PAD) -> tuple[Tensor, Tensor, Tensor]:
    """Return each image's crop offsets, down and across (int64, 0 to 2 `pad`), and whether it is flipped (bool).

    `index` `(n,)` are the images' rows in the training split; all three are `(n,)`, on its device. An offset of `pad`
    is the centre; each of the 2 `pad` + 1 is as probable (to one part in 10⁵), a flip has probability 1/2.
    """
    bits = random_bits(index, seed, epoch)
    down, across = (((part & 0xFFFFF) * (2 * pad + 1)) >> 20 for part in (bits, bits >> 20))
    return down, across, bits < 0


def view(images: Tensor, augmentation: Augmentation, seed: int, epoch: int, index: Tensor, pad: int = PAD) -> Tensor:
    """Return the view of each image in this epoch: padded by `pad`, cropped back to its size, perhaps flipped.

    `images` `(n, channels, height, width)` of any dtype (uint8 pixels, converted afterwards, cost a quarter), `index`
    `(n,)` their rows in the training split. Returns new images of the same shape, dtype and memory format; with
    `Augmentation.NONE` the images themselves.

    Raises: InputError for images too small to reflect, of `pad` pixels or fewer.
    """
    augmentation = Augmentation(augmentation)
    if augmentation is Augmentation.NONE:
        return images
    n, channels, height, width = images.shape
    reflect = augmentation is Augmentation.REFLECT_CROP_FLIP
    if reflect and min(height, width) <= pad:
        raise InputError(
            f"augmentation is {augmentation}, but it needs images of more than {pad} pixels a side, not "
            f"{height}×{width}."
        )
    # Padding, crop and flip are one lookup: the row and the column that each pixel of the view comes from.
    down, across, flip = (part.to(images.device)[:, None] for part in offsets(seed, epoch, index, pad))
    column = torch.arange(width, device=images.device)
    rows = torch.arange(height, device=images.device) + down - pad
    columns = torch.where(flip, width - 1 - column, column) + across - pad
    inside = _reflected if reflect else _clamped
    inside_rows, inside_columns = inside(rows, height), inside(columns, width)
    source = (inside_rows[:, :, None] * width + inside_columns[:, None, :]).flatten(1)
    if images.is_contiguous(memory_format=torch.channels_last) and not images.is_contiguous():
        flat = images.permute(0, 2, 3, 1).reshape(n, -1, channels)
        out = flat.gather(1, source[:, :, None].expand_as(flat)).view(n, height, width, channels).permute(0, 3, 1, 2)
    else:
        flat = images.reshape(n, channels, -1)
        out = flat.gather(2, source[:, None, :].expand_as(flat)).view(n, channels, height, width)
    if not reflect:
        border = (rows != inside_rows)[:, :, None] | (columns != inside_columns)[:, None, :]
        out.masked_fill_(border[:, None], 0)
    return out


def _reflected(position: Tensor, size: int) -> Tensor:
    """Reflect positions at the first and the last pixel, which are not repeated."""
    return (size - 1) - ((size - 1) - position.abs()).abs()


def _clamped(position: Tensor, size: int) -> Tensor:
    """Move positions outside the image to its border."""
    return position.clamp(0, size - 1)
