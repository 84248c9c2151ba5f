"""Fit a Laplace posterior around a trained network, choose its prior, and answer with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from kdlib.models.network import Network
from kdlib.teachers.contract import Teacher, evaluating
from kdlib.teachers.laplace import HessianStructure, LaplaceConfig, PriorPrecision, SubsetOfWeights, prior
from kdlib.teachers.laplace.last_layer_kron import LastLayerKron, fit_last_layer
from kdlib.teachers.laplace.library import LibraryPosterior, fit_library
from kdlib.teachers.laplace.posterior import Batches, Posterior
from kdlib.training.hardware import without_autocast


class Averaged(Teacher):
    """Give the logarithm of the averaged probabilities, one sample: tempering comes after averaging."""

    def __init__(self, posterior: Posterior, parent: Teacher, name: str) -> None:
        super().__init__(parent.network, parent.hardware, name)
        self.posterior = posterior

    def _outputs(self, x: Tensor, samples: int) -> Tensor:
        return self.posterior.outputs(x)[None]


def fit(config: LaplaceConfig, network: Network, batches: Batches, validation: Batches) -> Posterior:
    """Return the Laplace posterior of a trained network: N(θ, (H + δI)⁻¹).

    H is the generalised Gauss-Newton approximation of the Hessian of −Σ_n ln p(label_n | image_n), structured as the
    config says, and δ the prior precision, tuned as it says.

    Args:
        config: which posterior.
        network: trained; it is left as it was.
        batches: the training images `(b, channels, height, width)` and labels `(b,)` on the network's device, clean or
            as viewed. They are walked more than once.
        validation: images and labels that the grid search chooses δ by; not used by the marginal likelihood.

    Source: Daxberger et al. 2021, "Laplace redux: effortless Bayesian deep learning".
    """
    posterior: Posterior
    with evaluating(network), without_autocast(network.head.weight.device.type):
        features = ((network.embed(images).to(network.head.weight.dtype), labels) for images, labels in batches)
        if closed_form(config):
            posterior = fit_last_layer(features, network, config)
        else:
            last = config.subset_of_weights is SubsetOfWeights.LAST_LAYER
            posterior = fit_library(list(features) if last else batches, network, config)
        if config.prior_precision is PriorPrecision.MARGLIK:
            posterior.prior_precision = prior.marglik(posterior.eigenvalues(), posterior.squared_norm())
        else:
            best, posterior.prior_at_limit = prior.gridsearch(_validation_loss(posterior, validation))
            posterior.prior_precision = best
    return posterior


def closed_form(config: LaplaceConfig) -> bool:
    """Say whether the posterior is evaluated in closed form, without laplace-torch."""
    return config.subset_of_weights is SubsetOfWeights.LAST_LAYER and config.hessian is HessianStructure.KRON


def posterior_of(config: LaplaceConfig, network: Network, state: Mapping[str, Tensor]) -> Posterior:
    """Return the posterior that `Posterior.state` was taken from.

    Raises:
        InputError: a tensor is missing, unknown, wrongly shaped or not finite, or the network is another.
    """
    return (LastLayerKron if closed_form(config) else LibraryPosterior)(network, config, state)


def _validation_loss(posterior: Posterior, validation: Batches) -> Callable[[float], float]:
    """Return the mean NLL of the validation labels as a function of δ; features are computed once."""
    seen = [(posterior.prepare(images), labels) for images, labels in validation]
    count = sum(len(labels) for _, labels in seen)

    def loss(precision: float) -> float:
        posterior.prior_precision = precision
        losses = [F.nll_loss(posterior.predict(p).double(), labels, reduction="sum") for p, labels in seen]
        return float(torch.stack(losses).sum()) / count

    return loss
