"""Fit a Laplace posterior around a trained network, choose its prior, and load one that was saved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kdlib.base.errors import InputError
from kdlib.models.network import Network
from kdlib.teachers.laplace import prior
from kdlib.teachers.laplace.last_layer_kron import LastLayerKron, fit_last_layer
from kdlib.teachers.laplace.library import LibraryPosterior, fit_library
from kdlib.teachers.laplace.options import Options, PriorPrecision, SubsetOfWeights, check
from kdlib.teachers.laplace.posterior import Batches, Posterior, evaluating, full_precision


def fit(
    network: Network, batches: Batches, options: Options | None = None, validation: Batches | None = None
) -> Posterior:
    """Return the Laplace posterior of a trained network: N(θ, (H + δI)⁻¹).

    H is the generalised Gauss-Newton approximation of the Hessian of −Σ_n ln p(label_n | image_n), structured as the
    options say, and δ the prior precision, tuned as they say.

    Args:
        network: trained; it is left as it was.
        batches: the training images `(b, channels, height, width)` and labels `(b,)`, clean or as viewed. They are
            walked more than once.
        options: which posterior; the published one by default.
        validation: images and labels that the grid search chooses δ by; not used by the marginal likelihood.

    Raises:
        InputError: the network cannot have this posterior, a label is no class of it, there is no image, or the grid
            search has no validation data.

    Source: Daxberger et al. 2021, "Laplace redux: effortless Bayesian deep learning".
    """
    options = options or Options()
    check(options, network)
    if options.prior is PriorPrecision.GRIDSEARCH and validation is None:
        raise InputError("prior = 'gridsearch' is refused without validation data: give them, or choose marglik.")
    for name, given in (("batches", batches), ("validation", validation)):
        if isinstance(given, Iterator):
            raise InputError(f"{name} is refused as an iterator, which ends after one walk: give a list or a loader.")
    posterior: Posterior
    last = options.subset is SubsetOfWeights.LAST_LAYER
    with evaluating(network):
        seen = features(network, batches) if last else on_device(network, batches)
        with full_precision(network.head.weight):
            if options.closed_form:
                posterior = fit_last_layer(seen, network, options)
            else:
                posterior = fit_library(list(seen) if last else _Again(network, batches), network, options)
        if options.prior is PriorPrecision.MARGLIK:
            posterior.prior_precision = prior.marglik(posterior.eigenvalues(), posterior.squared_norm())
        elif validation is not None:
            loss = _validation_loss(posterior, validation)
            best, posterior.prior_at_limit = prior.gridsearch(loss, options.lowest, options.highest, options.points)
            posterior.prior_precision = best
    return posterior


def from_state(network: Network, state: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> Posterior:
    """Return the posterior that `Posterior.state` and `Posterior.metadata` were taken from.

    Raises:
        InputError: an option or tensor is missing, unknown, wrongly shaped or not finite, or the network is another.
    """
    options = Options.of(metadata)
    check(options, network)
    return (LastLayerKron if options.closed_form else LibraryPosterior)(network, options, state)


class _Again:
    """Checked batches on the network's device, walked as often as asked."""

    def __init__(self, network: Network, batches: Batches) -> None:
        self.network, self.batches = network, batches

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return on_device(self.network, self.batches)


def on_device(network: Network, batches: Batches) -> Iterator[tuple[Tensor, Tensor]]:
    """Give each batch on the network's device.

    Raises:
        InputError: a label is no class of the network.
    """
    device = network.head.weight.device
    for images, labels in batches:
        if len(labels) and not (int(labels.min()) >= 0 and int(labels.max()) < network.classes):
            raise InputError(
                f"labels from {int(labels.min())} to {int(labels.max())} are refused: allowed are 0 to "
                f"{network.classes - 1}."
            )
        yield images.to(device), labels.to(device)


def features(network: Network, batches: Batches) -> Iterator[tuple[Tensor, Tensor]]:
    """Give the features `(b, d)` and labels `(b,)` of each batch."""
    for images, labels in on_device(network, batches):
        yield network.embed(images).to(network.head.weight.dtype), labels


def _validation_loss(posterior: Posterior, validation: Batches) -> Callable[[float], float]:
    """Return the mean NLL of the validation labels as a function of δ; features are computed once."""
    seen = [(posterior.prepare(images), labels) for images, labels in on_device(posterior.network, validation)]
    count = sum(len(labels) for _, labels in seen)
    if count == 0:
        raise InputError("the validation data are empty: the grid search needs at least one image.")

    def loss(precision: float) -> float:
        posterior.prior_precision = precision
        losses = [F.nll_loss(posterior.predict(p).double(), labels, reduction="sum") for p, labels in seen]
        total = torch.stack(losses).sum()
        return float(total) / count

    return loss
