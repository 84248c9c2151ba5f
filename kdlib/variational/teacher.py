"""The variational teacher: loss NLL + κ·KL/N, probabilities averaged over draws of the weights."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdlib import models, training
from kdlib.config import NormStatistics, TeacherConfig
from kdlib.contract import Made, Making, Teacher
from kdlib.data.dataset import to_float
from kdlib.data.hashing import stream
from kdlib.hardware import Hardware
from kdlib.runs import Run
from kdlib.schedule import plan_steps
from kdlib.variational import calibration, norms
from kdlib.variational.bayesianize import bayesianize, kl, kl_weight
from kdlib.variational.options import Options
from kdlib.variational.sampling import Draw, draw, pinned, sample_forward

BLOCK = 2500
"""Images of a split that share the draws of their weights, where batch norms have the statistics of each draw."""


class Variational(Teacher):
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
        self.known: dict[int, list[Tensor]] = {}
        self.images: Tensor | None = None
        if pixels is not None:
            self.block = BLOCK
            self.images = hardware.layout(to_float(pixels.to(hardware.torch_device)))
            norms.of_draws(network)
            for norm, given in zip(norms.norms(network), self.norm_statistics(), strict=True):
                norm.given = given

    def drawing(self, *keys: int) -> Variational:
        if self.images is None:
            return self
        other = copy.copy(self)
        other.keys, other.known = (*self.keys, *keys), {}
        return other

    def norm_statistics(self, weights: list[Tensor] | None = None) -> list[Tensor]:
        """Return the statistics `(2, channels)` of every batch norm with these weights, without any for the centre.

        None of them where the running ones are kept.
        """
        if self.images is None:
            return []
        at = nullcontext() if weights is None else pinned(self.network, weights)
        self.network.eval()
        with self.hardware.autocast(), at:
            return norms.estimate(self.network, self.images)

    def numbered(self, sample: int) -> Draw:
        """Return the weights and the batch-norm statistics of one draw."""
        device = self.hardware.torch_device
        generator = torch.Generator(device).manual_seed(stream(*self.keys, sample))
        # members of an ensemble posterior in turn, from one that the block decides
        member = torch.tensor([stream(*self.keys) % 2**31 + sample], device=device)
        weights = [weight[0] for weight in draw(self.network, 1, generator, member)]
        if sample not in self.known:
            self.known[sample] = self.norm_statistics(weights)
        return weights, self.known[sample]

    def _outputs(self, x: Tensor, samples: int) -> Tensor:
        numbered = self.numbered if self.images is not None else None
        return sample_forward(self.network, x, samples, numbered=numbered)


def options_of(config: TeacherConfig) -> Options:
    """Return the posterior's options that a config means."""
    given: dict[str, Any] = {
        "family": config.family,
        "prior_scale": config.prior_scale,
        "initial_sd": config.initial_sd,
        "max_sd": config.max_sd,
        "inducing_rows": config.inducing_rows,
        "inducing_columns": config.inducing_columns,
        "whitened": config.whitened,
        "posterior": config.inducing_posterior,
        "members": config.posterior_members,
        "lambda_initial": config.lambda_initial,
        "lambda_max": config.lambda_max,
    }
    # what means nothing for a family is None
    return Options(**{name: value for name, value in given.items() if value is not None})


def _bayesian(making: Making) -> models.Network:
    """Return the config's network with a posterior over its weights."""
    assert isinstance(making.config, TeacherConfig)
    network = making.network()
    bayesianize(network, options_of(making.config))
    return network


def elbo(network: nn.Module, config: TeacherConfig, images: int) -> training.Objective:
    """Return the loss NLL + κ·KL(q ‖ prior)/N of a batch, in nats an image.

    κ is 0 for `ml_epochs`, rises over `annealing_epochs` and ends at `kl_weight`; it follows from the step alone.
    """
    ml, annealing, weight = config.ml_epochs or 0, config.annealing_epochs or 0, config.kl_weight or 0.0

    def loss(batch: training.Batch) -> Tensor:
        nll = F.cross_entropy(network(batch.images).float(), batch.labels)
        kappa = weight * kl_weight(int(batch.progress), ml, annealing)
        return nll + kappa / images * kl(network) if kappa else nll

    return loss


def fit(making: Making) -> Made:
    """Train a posterior over the weights, one weight sample a step."""
    config, (dataset, _) = making.config, making.to_fit()
    assert isinstance(config, TeacherConfig)
    network = making.placed(_bayesian(making))
    images = len(plan_steps(config, dataset).rows)
    history = making.train(network, elbo(network, config, images))
    tensors, files = dict(network.state_dict()), {}
    if config.norm_statistics is NormStatistics.DRAW:
        files[calibration.FILE] = calibration.of(config, dataset)
    pixels = files[calibration.FILE]["pixels"] if files else None
    teacher = Variational(network, making.hardware, making.name, config.seed, pixels)
    return Made(teacher, tensors, history, {"kl": float(kl(network))}, files)


def restore(making: Making, tensors: Mapping[str, Tensor]) -> Variational:
    """Return the teacher with this posterior."""
    config = making.config
    assert isinstance(config, TeacherConfig)
    network = making.loaded(_bayesian(making), tensors)
    drawn = config.norm_statistics is NormStatistics.DRAW
    pixels = calibration.load(Run(making.name), config, making.shape) if drawn else None
    return Variational(network, making.hardware, making.name, config.seed, pixels)
