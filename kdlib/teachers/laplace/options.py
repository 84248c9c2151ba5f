"""What a Laplace posterior can be, and which combinations are refused before any work."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from kdlib.base.errors import InputError

if TYPE_CHECKING:
    from torch import nn

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
    """Average the softmax of `samples` draws."""
    BRIDGE = "bridge"
    """The Laplace bridge: the mean of the Dirichlet that matches the logits' Gaussian."""


@dataclass(frozen=True)
class Options:
    """Say which posterior to fit and how it predicts; the defaults are the published ones."""

    subset: SubsetOfWeights = SubsetOfWeights.LAST_LAYER
    structure: HessianStructure = HessianStructure.KRON
    prior: PriorPrecision = PriorPrecision.MARGLIK
    predictive: Predictive = Predictive.GLM
    link: Link = Link.PROBIT
    samples: int = 100
    """draws of the link `mc`"""
    lowest: float = 1e-4
    """smallest prior precision of the grid"""
    highest: float = 1e4
    """largest prior precision of the grid"""
    points: int = 41
    """values on the grid"""

    def __post_init__(self) -> None:
        for field in fields(self):
            kind: type[StrEnum] | Any = type(field.default)
            if issubclass(kind, StrEnum):
                try:
                    object.__setattr__(self, field.name, kind(getattr(self, field.name)))
                except ValueError:
                    allowed = ", ".join(kind)
                    raise InputError(
                        f"{field.name} = {getattr(self, field.name)!r} is refused: allowed are {allowed}."
                    ) from None
        if self.predictive is Predictive.NN and self.link is not Link.MC:
            raise InputError(
                f"link = {str(self.link)!r} is refused with predictive = 'nn', which averages sampled networks: "
                "allowed is mc."
            )
        if not 1 <= self.samples <= 10_000:
            raise InputError(f"samples = {self.samples} is refused: allowed is 1 to 10000.")
        if not 0 < self.lowest < self.highest < math.inf:
            raise InputError(
                f"lowest = {self.lowest:g} and highest = {self.highest:g} are refused: the grid of prior precisions "
                "needs 0 < lowest < highest."
            )
        if not 2 <= self.points <= 1000:
            raise InputError(f"points = {self.points} is refused: allowed is 2 to 1000.")

    def metadata(self) -> dict[str, Any]:
        """Return the options as JSON has them."""
        return {key: str(v) if isinstance(v, StrEnum) else v for key, v in asdict(self).items()}

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> Options:
        """Read back what `metadata` wrote.

        Raises:
            InputError: an option is missing, unknown or out of its range.
        """
        names = {field.name for field in fields(cls)}
        if set(metadata) != names:
            raise InputError(
                f"the posterior's options {sorted(metadata)} are refused: they must be exactly {sorted(names)}."
            )
        return cls(**metadata)

    @property
    def closed_form(self) -> bool:
        """Say whether the posterior is evaluated in closed form, without laplace-torch."""
        return self.subset is SubsetOfWeights.LAST_LAYER and self.structure is HessianStructure.KRON


def is_batch_norm(module: nn.Module) -> bool:
    """Say whether a module is a batch norm."""
    from torch import nn

    return isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d)


def check(options: Options, network: nn.Module) -> None:
    """Refuse a posterior that this network cannot have.

    Raises:
        InputError: a full Hessian of too many weights, a Jacobian of too many, or Kronecker factors of a grouped
            convolution; the sentence says how much memory it would take, or what to choose instead.
    """
    from torch import nn

    head = network.get_submodule("head")
    last = options.subset is SubsetOfWeights.LAST_LAYER
    weights = sum(p.numel() for p in (head if last else network).parameters())
    classes = head.get_parameter("weight").shape[0]
    if options.structure is HessianStructure.FULL and weights > FULL_LIMIT:
        raise InputError(
            f"hessian = 'full' with subset_of_weights = {str(options.subset)!r} is refused for {weights:,} weights, "
            f"whose Hessian would take {4 * weights**2 / 1e9:,.1f} GB: allowed are {FULL_LIMIT:,}; choose diag or kron."
        )
    if last:
        return
    if options.predictive is Predictive.GLM and 4 * weights * classes > JACOBIAN_LIMIT:
        raise InputError(
            f"predictive = 'glm' with subset_of_weights = 'all' is refused for {weights:,} weights and {classes} "
            f"classes, whose Jacobian would take {4e-9 * weights * classes:,.1f} GB an image: choose nn, or last_layer."
        )
    grouped = any(isinstance(m, nn.Conv2d) and m.groups > 1 for m in network.modules())
    if options.structure is HessianStructure.KRON and grouped:
        raise InputError(
            "hessian = 'kron' with subset_of_weights = 'all' is refused for a network with grouped convolutions, whose "
            "weights have no such factors: choose diag, or last_layer."
        )
