"""Eigen-CAM: where in an image a network's last features lie, as a map and as numbers beside it.

`eigen_cam` gives the maps of one network, `area`, `entropy`, `variation` and `overlap` the numbers. A map is
`(height, width)` in [0, 1]; `shares` scales it to sum to one.
Source: Muhammad and Yeasin, "Eigen-CAM: class activation map using principal components", 2020 (arXiv:2008.00299).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kdlib.models.network import Network

Floats = NDArray[np.float32]
BATCH = 250
"""Images a forward pass."""


def signs(projections: Floats, activations: Floats) -> Floats:
    """Return the sign, 1 or −1, that each map must take, `(n,)`: a singular vector v is as good as −v.

    A map takes the sign under which it rises with the activation averaged over channels; if it does neither rise nor
    fall, the one that makes its largest value in size positive.

    Args:
        projections: `(n, h, w)`, activations projected on their first singular vector, of either sign.
        activations: `(n, channels, h, w)`.
    """
    flat = projections.reshape(len(projections), -1).astype(np.float64)
    mean = activations.mean(1, dtype=np.float64).reshape(len(flat), -1)
    rising = (flat * (mean - mean.mean(1, keepdims=True))).sum(1)
    largest = np.take_along_axis(flat, np.abs(flat).argmax(1)[:, None], 1)[:, 0]
    # what is left of a sum of rounding errors says nothing
    scale = 1e-6 * np.linalg.norm(flat, axis=1) * np.linalg.norm(mean, axis=1)
    decided = np.where(np.abs(rising) > scale, rising, largest)
    return np.where(decided < 0, -1, 1).astype(np.float32)


def eigen_cam(network: Network, images: Tensor, stage: int = 1) -> Tensor:
    """Return the Eigen-CAM of every image, float32 `(n, height, width)` in [0, 1], as pytorch-grad-cam makes it.

    At one stage the activations of an image are a matrix A `(h·w, channels)`, centred over positions; its first right
    singular vector v gives the map max(± A v, 0), scaled so that its largest value is 1 and enlarged to the size of the
    image. `signs` says which sign. A map without any variation is zero.

    Args:
        network: is put in eval mode.
        images: `(n, channels, height, width)`, on the network's device.
        stage: ≥ 1, counted from the last, which is 1.
    """
    from pytorch_grad_cam.utils.image import scale_cam_image  # takes seconds
    from pytorch_grad_cam.utils.svd_on_activations import get_2d_projection
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    height, width = images.shape[2:]
    maps = []
    for part in torch.split(images, BATCH):
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):  # numpy has no bfloat16
            activations = network.eval().stages(part)[-stage].cpu().numpy()
        with threadpool_limits(1, "blas"):  # an SVD of this size is slower with more, by far beside other jobs
            found = get_2d_projection(activations)
        positive = np.maximum(found * signs(found, activations)[:, None, None], 0)
        maps.append(scale_cam_image(scale_cam_image(positive, (width, height))))  # enlarging lowers the largest value
    return torch.from_numpy(np.concatenate(maps)).clamp(0, 1)


def shares(maps: Tensor) -> Tensor:
    """Return maps `(n, h, w)` scaled to sum to one, float64 `(n, h·w)`; a map of zeros stands for the even one."""
    flat = maps.double().flatten(1)
    total = flat.sum(1, keepdim=True)
    even = torch.full_like(flat, 1 / flat.shape[1])
    return torch.where(total > 0, flat / total.where(total > 0, torch.ones_like(total)), even)


def area(maps: Tensor) -> Tensor:
    """Return the share of each map's pixels that reach half its maximum, `(n,)` in (0, 1]."""
    flat = maps.double().flatten(1)
    return (flat >= flat.max(1, keepdim=True).values / 2).double().mean(1)


def entropy(maps: Tensor) -> Tensor:
    """Return −Σ m log m of each map m scaled to sum to one, `(n,)` in nats, from 0 (one pixel) to log of the pixels."""
    values: Tensor = torch.special.entr(shares(maps)).sum(1)
    return values


def variation(maps: Tensor, labels: Tensor) -> Tensor:
    """Return how far each map lies from the mean map of its class, `(n,)`: ½ Σ |m − m̄_y|, in [0, 1), m summing to one.

    Args:
        maps: `(n, h, w)`.
        labels: `(n,)` integers.
    """
    flat, (classes, place) = shares(maps), torch.unique(labels, return_inverse=True)
    sums = flat.new_zeros(len(classes), flat.shape[1]).index_add_(0, place, flat)
    means = sums / torch.bincount(place)[:, None]
    return (flat - means[place]).abs().sum(1) / 2


def overlap(maps: Tensor, pixels: Tensor) -> Tensor:
    """Return what each map has in common with a map of pixels that matter, `(n,)`: Σ min(m, d), both summing to one.

    0: nothing, 1: the two are equal. `maps` and `pixels` are `(n, h, w)`.
    """
    return torch.minimum(shares(maps), shares(pixels)).sum(1)


def overlap_by_chance(maps: Tensor, pixels: Tensor) -> Tensor:
    """Return the mean `overlap` of each map over all ways of rearranging its pixels, `(n,)`: the same values anywhere.

    Σ_p Σ_q min(m_q, d_p) / (h·w), exactly.
    """
    m, d = shares(maps), shares(pixels)
    pairs = [torch.minimum(a[:, None], b).sum() / len(a) for a, b in zip(m, d, strict=True)]
    return torch.stack(pairs)
