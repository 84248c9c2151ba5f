"""Laplace: a Gaussian posterior around a trained network's weights. (No torch.)

The last layer's Kronecker-factored posterior is evaluated in closed form; the others are laplace-torch's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from kdlib.base.config import parameter
from kdlib.base.errors import InputError
from kdlib.data.options import Augmentation
from kdlib.teachers.kind import DASHDOT, Kind, Mark, TeacherConfig

if TYPE_CHECKING:
    from torch import Tensor

    from kdlib.models.network import Network
    from kdlib.teachers.contract import Teacher
    from kdlib.teachers.making import Made, Making

FULL_LIMIT = 10_000
"""Most weights that a full Hessian, quadratic in them, is computed for."""
JACOBIAN_LIMIT = 4 * 2**30
"""Most bytes that the derivative of one image's logits by all the weights may take."""


class SubsetOfWeights(StrEnum):
    """Which weights are uncertain."""

    LAST_LAYER = "last_layer"
    """Those of the linear head; the features are as the parent computes them."""
    ALL = "all"
    """Those of the whole network (with `kron`, all but the batch norms')."""


class HessianStructure(StrEnum):
    """Which part of the Hessian (its generalised Gauss-Newton approximation) is kept."""

    DIAG = "diag"
    """Its diagonal."""
    KRON = "kron"
    """A Kronecker product for each layer (KFAC): one factor of its inputs, one of its outputs."""
    FULL = "full"
    """All of it, for at most 10,000 weights."""


class PriorPrecision(StrEnum):
    """How the precision of the Gaussian prior, one number for all the weights, is chosen."""

    MARGLIK = "marglik"
    """At the maximum of the marginal likelihood of the training data; no validation data enter."""
    GRIDSEARCH = "gridsearch"
    """At the lowest negative log-likelihood of the validation data on a logarithmic grid."""


class Predictive(StrEnum):
    """How the uncertainty of the weights becomes one of the logits."""

    GLM = "glm"
    """The network made linear in its weights: the logits are Gaussian."""
    NN = "nn"
    """The network itself with sampled weights; needs the link `mc`."""


class Link(StrEnum):
    """How class probabilities are averaged over uncertain logits."""

    PROBIT = "probit"
    """Scale each logit by 1 / sqrt(1 + π/8 · its variance), then softmax."""
    MC = "mc"
    """Average the softmax of `link_samples` draws."""
    BRIDGE = "bridge"
    """The Laplace bridge: the mean of the Dirichlet that matches the logits' Gaussian."""


class LaplaceConfig(TeacherConfig):
    """Which posterior, and how it predicts; the defaults are the published ones."""

    subset_of_weights: SubsetOfWeights = parameter(SubsetOfWeights.LAST_LAYER, "laplace: last_layer or all")
    hessian: HessianStructure = parameter(HessianStructure.KRON, "laplace: diag, kron or full")
    prior_precision: PriorPrecision = parameter(PriorPrecision.MARGLIK, "laplace: marglik or gridsearch")
    predictive: Predictive = parameter(Predictive.GLM, "laplace: glm or nn")
    link: Link = parameter(Link.PROBIT, "laplace: probit, mc or bridge")
    link_samples: int = parameter(100, "laplace: draws of the link mc", ge=1, le=10_000)
    fit_augmented: bool = parameter(False, "laplace: fitted on augmented images, as published")


class Laplace(Kind):
    """Source: Daxberger et al., NeurIPS 2021, and the settings of Bayesian-KD."""

    name = "laplace"
    meaning = "A Gaussian posterior around a trained network's weights."
    title = "Laplace"
    mark = Mark("#12ab8c", "D", DASHDOT, "xx")
    config_type = LaplaceConfig
    trains = one_network = False
    may_be_tempered = True
    starts_with = "parent"

    def unused(self, config: LaplaceConfig) -> set[str]:
        """Return the number of draws where the link draws none."""
        return set() if config.link is Link.MC else {"link_samples"}

    def completed(self, config: LaplaceConfig, parents: Sequence[TeacherConfig]) -> TeacherConfig:
        """Return the config with the parent's training; without augmentation clean images are those as viewed."""
        completed = super().completed(config, parents)
        clean = completed.augmentation is Augmentation.NONE
        return completed.model_copy(update={"fit_augmented": False}) if clean else completed

    def check(self, config: LaplaceConfig) -> None:
        """Refuse options that exclude each other."""
        if config.predictive is Predictive.NN and config.link is not Link.MC:
            raise InputError(
                f"link = {str(config.link)!r} is refused with predictive = 'nn', which averages sampled networks: "
                "allowed is mc."
            )

    def check_network(self, config: LaplaceConfig, network: Network) -> None:
        """Refuse a network that cannot have this posterior; the sentence says what it would take, or what to choose."""
        from torch import nn

        last = config.subset_of_weights is SubsetOfWeights.LAST_LAYER
        weights = sum(p.numel() for p in (network.head if last else network).parameters())
        if config.hessian is HessianStructure.FULL and weights > FULL_LIMIT:
            raise InputError(
                f"hessian = 'full' with subset_of_weights = {str(config.subset_of_weights)!r} is refused for "
                f"{weights:,} weights, whose Hessian would take {4 * weights**2 / 1e9:,.1f} GB: allowed are "
                f"{FULL_LIMIT:,}; choose diag or kron."
            )
        if last:
            return
        jacobian = 4 * weights * network.classes
        if config.predictive is Predictive.GLM and jacobian > JACOBIAN_LIMIT:
            raise InputError(
                f"predictive = 'glm' with subset_of_weights = 'all' is refused for {weights:,} weights and "
                f"{network.classes} classes, whose Jacobian would take {1e-9 * jacobian:,.1f} GB an image: choose nn, "
                "or last_layer."
            )
        grouped = any(isinstance(module, nn.Conv2d) and module.groups > 1 for module in network.modules())
        if config.hessian is HessianStructure.KRON and grouped:
            raise InputError(
                "hessian = 'kron' with subset_of_weights = 'all' is refused for a network with grouped convolutions, "
                "whose weights have no such factors: choose diag, or last_layer."
            )

    def fit(self, making: Making) -> Made:
        """Fit the posterior on the parent's training images, clean or as viewed, and its prior.

        A grid whose best prior precision is its first or last gives a posterior all the same, which is not refused: the
        provenance says `prior_precision_at_limit`.
        """
        from kdlib.teachers.laplace.fit import Averaged, fit
        from kdlib.teachers.making import Images, Made

        config, (parent,) = making.config, making.parents
        seen = (config.augmentation or Augmentation.NONE) if config.fit_augmented else Augmentation.NONE
        images = Images(config, making.data, making.hardware, seen)
        posterior = fit(config, parent.network, images, images.validation())
        notes = {"prior_precision": posterior.prior_precision, "prior_precision_at_limit": posterior.prior_at_limit}
        return Made(Averaged(posterior, parent, making.name), posterior.state(), notes=notes)

    def restore(self, making: Making, tensors: Mapping[str, Tensor]) -> Teacher:
        """Return the posterior of these tensors around the parent."""
        from kdlib.teachers.laplace.fit import Averaged, posterior_of

        config, (parent,) = making.config, making.parents
        return Averaged(posterior_of(config, parent.network, tensors), parent, making.name)
