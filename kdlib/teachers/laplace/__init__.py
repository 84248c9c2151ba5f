"""Laplace: a Gaussian posterior around a trained network's weights. (No torch.)

The last layer's Kronecker-factored posterior is evaluated in closed form; the others are laplace-torch's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kdlib.base.config import parameter
from kdlib.data.options import Augmentation
from kdlib.teachers.kind import DASHDOT, Kind, Mark, TeacherConfig
from kdlib.teachers.laplace.options import (
    HessianStructure,
    Link,
    Options,
    Predictive,
    PriorPrecision,
    SubsetOfWeights,
    check,
)

if TYPE_CHECKING:
    from torch import Tensor

    from kdlib.models.network import Network
    from kdlib.teachers.contract import Teacher
    from kdlib.teachers.making import Made, Making


class LaplaceConfig(TeacherConfig):
    """Which posterior, and how it predicts."""

    subset_of_weights: SubsetOfWeights = parameter(SubsetOfWeights.LAST_LAYER, "laplace: last_layer or all")
    hessian: HessianStructure = parameter(HessianStructure.KRON, "laplace: diag, kron or full")
    prior_precision: PriorPrecision = parameter(PriorPrecision.MARGLIK, "laplace: marglik or gridsearch")
    predictive: Predictive = parameter(Predictive.GLM, "laplace: glm or nn")
    link: Link = parameter(Link.PROBIT, "laplace: probit, mc or bridge")
    link_samples: int = parameter(100, "laplace: draws of the link mc", ge=1, le=10_000)
    fit_augmented: bool = parameter(False, "laplace: fitted on augmented images, as published")


def options_of(config: TeacherConfig) -> Options:
    """Return the posterior's options that a config means.

    Raises:
        InputError: they exclude each other.
    """
    assert isinstance(config, LaplaceConfig)
    return Options(
        subset=config.subset_of_weights,
        structure=config.hessian,
        prior=config.prior_precision,
        predictive=config.predictive,
        link=config.link,
        samples=config.link_samples,
    )


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

    def accepts(self, parent: Kind) -> bool:
        """Start from one deterministic network."""
        return parent.one_network

    def unused(self, config: TeacherConfig) -> set[str]:
        """Return the number of draws where the link draws none."""
        assert isinstance(config, LaplaceConfig)
        return set() if config.link is Link.MC else {"link_samples"}

    def completed(self, config: TeacherConfig, parents: Sequence[TeacherConfig]) -> TeacherConfig:
        """Return the config with the parent's training; without augmentation clean images are those as viewed."""
        config = super().completed(config, parents)
        clean = config.augmentation is Augmentation.NONE
        return config.model_copy(update={"fit_augmented": False}) if clean else config

    def check(self, config: TeacherConfig) -> None:
        """Refuse options that exclude each other."""
        options_of(config)

    def check_network(self, config: TeacherConfig, network: Network) -> None:
        """Refuse a network that cannot have this posterior."""
        check(options_of(config), network)

    def fit(self, making: Making) -> Made:
        """Fit the posterior and its prior."""
        from kdlib.teachers.laplace.teacher import fit

        return fit(making)

    def restore(self, making: Making, tensors: Mapping[str, Tensor]) -> Teacher:
        """Return the posterior of these tensors around the parent."""
        from kdlib.teachers.laplace.teacher import restore

        return restore(making, tensors)
