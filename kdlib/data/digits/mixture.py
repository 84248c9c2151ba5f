"""Digits whose Bayes class probabilities are known: drawn from Gaussian mixtures fitted to real 8×8 digits.

Class c has prior 1/10 and density p(x | c) = Σ_k π_ck N(x; μ_ck, W_ck W_ckᵀ + (s_ck² + σ²) I): a mixture of
probabilistic principal components, seen through pixel noise of standard deviation σ. Bayes' rule gives p(c | x).
Source: Tipping and Bishop, "Mixtures of probabilistic principal component analyzers", 1999, for the mixture.
"""

from __future__ import annotations

import functools
import hashlib
import math
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from kdlib.data.dataset import Dataset, Split
from kdlib.data.digits import CLASSES, FITTED, NOISE, SEED, SIDE, SIZES, fingerprint, parse
from kdlib.data.options import BCPSource


class Mixture(NamedTuple):
    """Hold the fitted mixture in float64.

    `weights` `(classes, components)`; `means` `(classes, components, 64)`; `factors` `(classes, components, 64, rank)`,
    the W of the covariance; `floor` `(classes, components)`, its s².
    """

    weights: Tensor
    means: Tensor
    factors: Tensor
    floor: Tensor


@functools.cache
def mixture() -> Mixture:
    """Return the fitted mixture, float64."""
    # The file is float32; a row of weights sums to one only after it is normalised in float64.
    tensors = {name: tensor.double() for name, tensor in load_file(FITTED).items()}
    weights = tensors["weights"] / tensors["weights"].sum(1, keepdim=True)
    return Mixture(weights, tensors["means"], tensors["factors"], tensors["floor"])


def log_density(images: Tensor, noise_sd: float = NOISE) -> Tensor:
    """Return log p(x | c) of any images under every class, float64 `(n, classes)`.

    `images` are `(n, 1, 8, 8)` or `(n, 64)` as drawn, `noise_sd` is the pixel noise σ ≥ 0. With τ = s² + σ² and
    M = τ I + WᵀW = L Lᵀ, the covariance C = W Wᵀ + τ I has log|C| = (64 − rank) log τ + log|M| and
    dᵀ C⁻¹ d = (|d|² − |L⁻¹ Wᵀ d|²) / τ, exactly.
    """
    x = images.double().flatten(1)
    weights, means, factors, floor = (part.to(x.device).flatten(0, 1) for part in mixture())
    rank, tau = factors.shape[-1], floor + noise_sd**2
    inner = factors.mT @ factors + tau[:, None, None] * torch.eye(rank, dtype=x.dtype, device=x.device)
    lower = torch.linalg.cholesky(inner)
    whiten = torch.linalg.solve_triangular(lower, factors.mT, upper=False)  # L⁻¹ Wᵀ, (components, rank, 64)
    projected = x @ whiten.flatten(0, 1).T  # one product for all components
    centre = torch.einsum("krd,kd->kr", whiten, means)
    explained = (projected.view(len(x), len(tau), rank) - centre).square().sum(-1)
    distance = (x.square().sum(1, keepdim=True) - 2 * x @ means.T + means.square().sum(1) - explained) / tau
    log_det = (x.shape[1] - rank) * tau.log() + 2 * lower.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    joint: Tensor = weights.log() - 0.5 * (distance + log_det + x.shape[1] * math.log(2 * math.pi))
    return joint.view(len(x), len(CLASSES), -1).logsumexp(-1)


def bcp(images: Tensor, noise_sd: float = NOISE) -> Tensor:
    """Return the exact Bayes class probabilities of any images, float32 `(n, classes)`, on the images' device.

    p(c | x) = p(x | c) / Σ_c' p(x | c'): the prior over the ten classes is uniform. Evaluated in float64.
    """
    return log_density(images, noise_sd).softmax(-1).float()


def draw(n: int, noise_sd: float, seed: int, size: str, split: str) -> tuple[Tensor, Tensor]:
    """Draw `n` images, float32 `(n, 1, 8, 8)`, and their labels, int64 `(n,)`, each class with probability 1/10.

    Every (seed, size, split) has a random stream of its own, in which the noise comes last: another `noise_sd`
    sees the same labels and digits under the same noise, scaled.
    """
    key = hashlib.sha256(f"{seed}/{size}/{split}".encode()).digest()[:16]
    generator = np.random.Generator(np.random.PCG64(int.from_bytes(key, "big")))
    weights, means, factors, floor = (part.numpy() for part in mixture())
    labels = generator.integers(len(CLASSES), size=n)
    edges = weights.cumsum(1)[labels]
    component = (generator.random((n, 1)) > edges[:, :-1]).sum(1)
    latent = generator.standard_normal((n, factors.shape[-1]))
    residual = generator.standard_normal((n, means.shape[-1]))
    noise = generator.standard_normal((n, means.shape[-1]))
    chosen = (labels, component)
    digit = means[chosen] + np.einsum("ndr,nr->nd", factors[chosen], latent)
    digit += np.sqrt(floor[chosen])[:, None] * residual
    images = torch.from_numpy((digit + noise_sd * noise).astype(np.float32)).view(n, 1, SIDE, SIDE)
    return images, torch.from_numpy(labels)


def load(name: str) -> Dataset:
    """Draw the digits of this name, the shortest of theirs, and evaluate their exact Bayes class probabilities."""
    size, noise = parse(name)
    train, val, test = (
        Split(images, labels, bcp(images, noise))
        for n, split in zip(SIZES[size], ("train", "val", "test"), strict=True)
        for images, labels in [draw(n, noise, SEED, size, split)]
    )
    drawn = train.pixels.double()
    # Rounded, so that the last bits of a sum, which differ between CPUs, do not enter the networks.
    mean, std = (round(float(value), 6) for value in (drawn.mean(), drawn.std(correction=0)))
    return Dataset(name, train, val, test, CLASSES, BCPSource.EXACT, fingerprint(name), mean=(mean,), std=(std,))


def class_pixels(noise_sd: float = NOISE) -> Tensor:
    """Return which pixels tell a class of `digits` from the others, float64 `(classes, 8, 8)`, from the mixture itself.

    d_cp = mean over the other classes c' of (μ_cp − μ_c'p)² / (v_cp + v_c'p), with the mean μ and the variance v of a
    pixel within a class, noise included: the squared distance of two classes at one pixel in units of their spread.

    Args:
        noise_sd: the pixel noise σ ≥ 0.
    """
    parts = mixture()
    weights = parts.weights[..., None]
    means = (weights * parts.means).sum(1)
    within = parts.factors.square().sum(-1) + parts.floor[..., None] + noise_sd**2
    variances = (weights * (within + parts.means.square())).sum(1) - means.square()
    apart = (means[:, None] - means).square() / (variances[:, None] + variances)
    return (apart.sum(1) / (len(means) - 1)).reshape(len(means), SIDE, SIDE)
