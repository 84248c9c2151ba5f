"""The variational teacher: loss NLL + κ·KL/N, probabilities averaged over draws of the weights."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdlib.base.hashing import stream
from kdlib.models.network import Network
from kdlib.teachers.contract import Teacher
from kdlib.teachers.making import Making
from kdlib.teachers.variational import VariationalConfig, norms
from kdlib.teachers.variational.bayesianize import bayesianize, kl, kl_weight
from kdlib.teachers.variational.sampling import DRAWS_AT_ONCE, Draw, draw, pinned, sample_forward
from kdlib.training import loop as training
from kdlib.training.hardware import Hardware

BLOCK = 2500
"""Images of a split that share the draws of their weights, where batch norms have the statistics of each draw."""


class Drawn(Teacher):
    """Give the outputs of networks drawn from the posterior, one a sample.

    Without calibration images the batch norms keep their running statistics and the draws are those of torch's global
    generator, anew at each question. With them, draw s is a function of the seed, the integers given to `drawing` and s
    alone, and each draw, and the centre that `network` is, has the statistics that one pass over these images gives it.

    Args:
        seed: the run's.
        pixels: `(n, channels, height, width)`, the calibration images as the dataset keeps them.
    """

    stochastic = True
    own_samples = 10

    def __init__(
        self, network: nn.Module, hardware: Hardware, name: str, seed: int = 0, pixels: Tensor | None = None
    ) -> None:
        super().__init__(network, hardware, name)
        self.keys: tuple[int, ...] = (seed,)
        self.known: dict[int, Draw] = {}
        self.images: Tensor | None = None
        if pixels is not None:
            self.block = BLOCK
            self.images = hardware.images(pixels)
            norms.of_draws(network)
            with hardware.autocast():
                norms.settle(network, self.images)

    def drawing(self, *keys: int) -> Drawn:
        if self.images is None:
            return self
        other = copy.copy(self)
        other.keys, other.known = (*self.keys, *keys), {}
        return other

    def norm_statistics(self, weights: list[Tensor]) -> list[Tensor]:
        """Return the statistics `(2, channels)` of every batch norm with these weights, or none: the running ones."""
        if self.images is None:
            return []
        with self.hardware.autocast(), pinned(self.network, weights):
            return norms.estimate(self.network, self.images)

    def numbered(self, sample: int) -> Draw:
        """Return the weights and the batch-norm statistics of one draw."""
        if sample in self.known:
            weights, statistics = self.known[sample]
            return weights or self.weights(*self.keys, sample), statistics
        weights = self.weights(*self.keys, sample)
        statistics = self.norm_statistics(weights)
        small = (len(self.known) + 1) * sum(weight.numel() for weight in weights) <= DRAWS_AT_ONCE
        self.known[sample] = (weights if small else [], statistics)  # what is not kept is drawn again
        return weights, statistics

    def weights(self, *keys: int) -> list[Tensor]:
        """Return the weights of the draw that these integers name."""
        generator = torch.Generator(self.hardware.torch_device).manual_seed(stream(*keys))
        return [weight[0] for weight in draw(self.network, 1, generator)]

    @contextmanager
    def as_drawn(self, seed: int, sample: int) -> Iterator[None]:
        """Give the network the weights of one sample inside, which depend on nothing but the seed and its number."""
        weights = self.weights(seed, sample)
        with pinned(self.network, weights, self.norm_statistics(weights)):
            yield

    def _outputs(self, x: Tensor, samples: int) -> Tensor:
        numbered = self.numbered if self.images is not None else None
        return sample_forward(self.network, x, samples, numbered=numbered)


def bayesian(making: Making) -> Network:
    """Return the config's network with a posterior over its weights."""
    network = making.network()
    bayesianize(network, making.config)
    return network


def elbo(network: nn.Module, config: VariationalConfig, images: int) -> training.Objective:
    """Return the loss NLL + κ·KL(q ‖ prior)/N of a batch, in nats an image.

    κ is 0 for `ml_epochs`, rises over `annealing_epochs` and ends at `kl_weight`; it follows from the step alone.
    """
    ml, annealing, weight = config.ml_epochs or 0, config.annealing_epochs or 0, config.kl_weight or 0.0

    def loss(batch: training.Batch) -> Tensor:
        nll = F.cross_entropy(network(batch.images).float(), batch.labels)
        kappa = weight * kl_weight(int(batch.progress), ml, annealing)
        return nll + kappa / images * kl(network) if kappa else nll

    return loss
