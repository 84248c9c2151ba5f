"""What every Laplace posterior offers, and how its tensors are checked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from kdlib.base.errors import InputError
from kdlib.models.network import Network
from kdlib.teachers.contract import evaluating
from kdlib.teachers.laplace import LaplaceConfig
from kdlib.teachers.making import check_numbers, check_tensors

Batches = Iterable[tuple[Tensor, Tensor]]
"""Images `(b, channels, height, width)` and labels `(b,)`; it can be walked more than once."""


class Posterior(ABC):
    """A Gaussian over a trained network's weights, centred on them: N(θ, (H + δI)⁻¹).

    `tensors` are what it is made of: those of the Hessian, the weights θ, the training labels' likelihood and δ.
    """

    prior_at_limit = False
    """Whether the prior precision was chosen at the limit of its grid; known where it was fitted."""

    def __init__(self, network: Network, config: LaplaceConfig, tensors: Mapping[str, Tensor]) -> None:
        self.network, self.config = network, config
        device = network.head.weight.device
        self.tensors = {name: tensor.detach().to(device).contiguous() for name, tensor in tensors.items()}
        self.prior_precision = float(tensors["prior_precision"])

    @property
    def prior_precision(self) -> float:
        """Return δ; to set it changes the posterior."""
        return self._precision

    @prior_precision.setter
    def prior_precision(self, precision: float) -> None:
        self._precision = float(precision)
        self.rescale()

    @abstractmethod
    def rescale(self) -> None:
        """Compute what predictions need of a new δ."""

    @abstractmethod
    def prepare(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return what predictions of images `(n, channels, height, width)` need and δ does not change."""

    @abstractmethod
    def predict(self, prepared: tuple[Tensor, ...]) -> Tensor:
        """Return log-probabilities `(n, classes)` from what `prepare` gives."""

    @abstractmethod
    def eigenvalues(self) -> Tensor:
        """Return the Hessian's eigenvalues, one for each uncertain weight."""

    @abstractmethod
    def squared_norm(self) -> float:
        """Return ‖θ‖² of the uncertain weights."""

    def state(self) -> dict[str, Tensor]:
        """Return every tensor that a run keeps: the posterior beside the network."""
        kept = {name: tensor.clone() for name, tensor in self.tensors.items()}
        return {**kept, "prior_precision": torch.tensor(self.prior_precision, dtype=torch.float64)}

    def outputs(self, x: Tensor) -> Tensor:
        """Return log-probabilities `(n, classes)` of images `(n, channels, height, width)`."""
        with evaluating(self.network):
            return self.predict(self.prepare(x))


def check_state(
    state: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]], weights: Mapping[str, Tensor]
) -> None:
    """Refuse tensors that are not exactly those of `shapes`, each finite, or not of the network with these weights.

    Raises:
        InputError: one is missing, too many, of another shape, not finite or of another network; it is named.
    """
    check_tensors(shapes, state, "the posterior is refused")
    check_numbers({name: tensor.dtype for name, tensor in state.items()}, state, "the posterior")
    if not state["prior_precision"] > 0:
        raise InputError(
            f"the posterior's prior_precision {float(state['prior_precision']):g} is refused: it must be positive."
        )
    if not all(torch.equal(state[name].to(weight), weight) for name, weight in weights.items()):
        raise InputError("the posterior was fitted on another network: load it with the weights of its own parent.")
