"""What every Laplace posterior offers, and how its tensors are checked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from kdlib.base.errors import InputError
from kdlib.models.network import Network
from kdlib.teachers.laplace import prior
from kdlib.teachers.laplace.options import Options

Batches = Iterable[tuple[Tensor, Tensor]]
"""Images `(b, channels, height, width)` and labels `(b,)`; it can be walked more than once."""


class Posterior(ABC):
    """A Gaussian over a trained network's weights, centred on them: N(θ, (H + δI)⁻¹)."""

    network: Network
    options: Options
    prior_at_limit = False
    """Whether the prior precision was chosen at the limit of its grid; known where it was fitted."""

    @property
    @abstractmethod
    def prior_precision(self) -> float:
        """Return δ; to set it changes the posterior."""

    @prior_precision.setter
    @abstractmethod
    def prior_precision(self, precision: float) -> None: ...

    @abstractmethod
    def prepare(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return what predictions of images `(n, channels, height, width)` need and δ does not change."""

    @abstractmethod
    def predict(self, prepared: tuple[Tensor, ...], seed: int = 0) -> Tensor:
        """Return log-probabilities `(n, classes)` from what `prepare` gives."""

    @abstractmethod
    def eigenvalues(self) -> Tensor:
        """Return the Hessian's eigenvalues, one for each uncertain weight."""

    @abstractmethod
    def squared_norm(self) -> float:
        """Return ‖θ‖² of the uncertain weights."""

    @abstractmethod
    def log_likelihood(self) -> float:
        """Return ln p(labels | images, θ) of the training data, in nats."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Return every tensor that `kdlib.teachers.laplace.from_state` needs beside the network."""

    def outputs(self, x: Tensor, seed: int = 0) -> Tensor:
        """Return log-probabilities `(n, classes)` of images `(n, channels, height, width)`.

        `seed` sets the draws of the link `mc`; the other links draw nothing. The network is left as it was.
        """
        with evaluating(self.network):
            return self.predict(self.prepare(x), seed)

    def log_marginal_likelihood(self) -> float:
        """Return the Laplace approximation of ln p(labels | images, δ) on the training data, in nats."""
        return prior.log_marginal_likelihood(
            self.log_likelihood(), self.eigenvalues(), self.squared_norm(), self.prior_precision
        )

    def metadata(self) -> dict[str, Any]:
        """Return the options, as JSON has them."""
        return self.options.metadata()


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Compute in eval mode and without gradients inside, and give every module its own mode back."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def full_precision(x: Tensor) -> Iterator[None]:
    """Switch autocast off inside: variances are small differences of products."""
    with torch.autocast(x.device.type, enabled=False):
        yield


def check_tensors(state: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse tensors that are not exactly those named, each of its shape and finite.

    Raises:
        InputError: one is missing, too many, of another shape or not finite; the sentence names it.
    """
    for name in shapes:
        if name not in state:
            raise InputError(f"the posterior's tensor {name!r} is missing: it must be there as {shapes[name]}.")
    for name, tensor in state.items():
        if name not in shapes:
            raise InputError(f"the posterior's tensor {name!r} is not known: allowed are {', '.join(shapes)}.")
        if tuple(tensor.shape) != shapes[name]:
            raise InputError(
                f"the posterior's tensor {name!r} has shape {tuple(tensor.shape)}: it must be {shapes[name]}."
            )
        if not torch.isfinite(tensor).all():
            raise InputError(f"the posterior's tensor {name!r} holds values that are not finite: it is damaged.")
    if not state["prior_precision"] > 0:
        raise InputError(
            f"the posterior's prior_precision {float(state['prior_precision']):g} is refused: it must be positive."
        )


def check_parent(stored: Tensor, weights: Tensor) -> None:
    """Refuse a network whose weights are not the ones that the posterior was fitted around.

    Raises:
        InputError: they differ in any bit.
    """
    if not torch.equal(stored.to(weights), weights):
        raise InputError("the posterior was fitted on another network: load it with the weights of its own parent.")
