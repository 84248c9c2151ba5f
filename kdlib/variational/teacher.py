"""The variational teacher: loss NLL + κ·KL/N, probabilities averaged over draws of the weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from kdlib import models, training
from kdlib.config import TeacherConfig
from kdlib.contract import Made, Making, Teacher
from kdlib.schedule import plan_steps
from kdlib.variational.bayesianize import bayesianize, kl, kl_weight
from kdlib.variational.options import Options
from kdlib.variational.sampling import sample_forward


class Variational(Teacher):
    """Give the outputs of networks drawn from the posterior, one a sample."""

    stochastic = True
    own_samples = 10

    def _outputs(self, x: Tensor, samples: int) -> Tensor:
        return sample_forward(self.network, x, samples)


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
    return Made(Variational(network, making.hardware, making.name), network.state_dict(), history,
                {"kl": float(kl(network))})  # fmt: skip


def restore(making: Making, tensors: Mapping[str, Tensor]) -> Variational:
    """Return the teacher with this posterior."""
    network = making.loaded(_bayesian(making), tensors)
    return Variational(network, making.hardware, making.name)
