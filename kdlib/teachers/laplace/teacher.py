"""The Laplace teacher: a Gaussian posterior around the parent's weights, averaged into one probability a class."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from kdlib.data.options import Augmentation
from kdlib.models.network import Network
from kdlib.teachers.contract import Teacher
from kdlib.teachers.laplace import LaplaceConfig, options_of
from kdlib.teachers.laplace.fit import fit as fit_posterior
from kdlib.teachers.laplace.fit import from_state
from kdlib.teachers.laplace.posterior import Posterior
from kdlib.teachers.making import Images, Made, Making


class Averaged(Teacher):
    """Give the logarithm of the averaged probabilities, one sample: tempering comes after averaging."""

    def __init__(self, posterior: Posterior, parent: Teacher, name: str) -> None:
        super().__init__(parent.network, parent.hardware, name)
        self.posterior = posterior

    def _outputs(self, x: Tensor, samples: int) -> Tensor:
        return self.posterior.outputs(x)[None]


def network_of(parent: Teacher) -> Network:
    """Return the parent's network."""
    assert isinstance(parent.network, Network)
    return parent.network


def fit(making: Making) -> Made:
    """Fit the posterior on the parent's training images, clean or as viewed, and its prior as the options say.

    A grid whose best prior precision is its first or last gives a posterior all the same, which is not refused: the
    provenance says `prior_precision_at_limit`.
    """
    config, (dataset, _) = making.config, making.to_fit()
    assert isinstance(config, LaplaceConfig)
    (parent,) = making.parents
    seen = (config.augmentation or Augmentation.NONE) if config.fit_augmented else Augmentation.NONE
    images = Images(config, dataset, making.hardware, seen)
    device = making.hardware.torch_device
    validation = [
        (making.hardware.layout(dataset.val.take(rows).to(device)), dataset.val.labels[rows].to(device))
        for rows in torch.split(torch.arange(len(dataset.val)), 500)
    ]
    posterior = fit_posterior(network_of(parent), images, options_of(config), validation)
    notes = {"prior_precision": posterior.prior_precision, "prior_precision_at_limit": posterior.prior_at_limit}
    return Made(Averaged(posterior, parent, making.name), posterior.state(), notes=notes)


def restore(making: Making, tensors: Mapping[str, Tensor]) -> Averaged:
    """Return the posterior of these tensors around the parent."""
    (parent,) = making.parents
    posterior = from_state(network_of(parent), tensors, options_of(making.teacher_config).metadata())
    return Averaged(posterior, parent, making.name)
