"""What every posterior over a layer's weight matrix has in common: draws, a centre, a KL, a cache."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Generic, Self, TypeVar

import torch
from torch import Tensor, nn

Factors = TypeVar("Factors")


def to_raw(value: float, cap: float | None) -> float:
    """Return the unconstrained number that `from_raw` maps to `value`."""
    return math.log(value) if cap is None else math.log(value / (cap - value))


def from_raw(raw: Tensor, cap: float | None) -> Tensor:
    """Map real numbers to (0, cap): cap · sigmoid(raw), or exp(raw) without a cap.

    A clamp would do, but its gradient is zero above the cap: what once touched it would stay there.
    """
    return raw.exp() if cap is None else cap * torch.sigmoid(raw)


class Posterior(nn.Module, ABC, Generic[Factors]):
    """Hold the approximate posterior q(W) of one layer's weight matrix W, shape (d_out, d_in)."""

    def __init__(self) -> None:
        super().__init__()
        self._cache: tuple[tuple[tuple[int, int], ...], Factors] | None = None

    @abstractmethod
    def compute_factors(self) -> Factors:
        """Return what draws share, computed from the parameters (with gradient where it is enabled)."""

    @abstractmethod
    def centre(self) -> Tensor:
        """Return the weights of the deterministic twin, (d_out, d_in): the mean."""

    @abstractmethod
    def draw(self, samples: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw W, (samples, d_out, d_in).

        Args:
            samples: count.
            generator: the source of randomness; None is torch's global one.
        """

    @abstractmethod
    def kl(self) -> Tensor:
        """Return KL(q ‖ prior) of the layer in nats (a scalar)."""

    def factors(self) -> Factors:
        """Return `compute_factors()`, kept without gradient until a parameter changes."""
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            if not torch.compiler.is_compiling():
                self._cache = None  # a step may follow, and a fused optimiser's leaves no trace in the versions below
            return self.compute_factors()
        # In-place changes (plain optimisers, load_state_dict) raise a tensor's version, replacement moves it.
        key = tuple((tensor.data_ptr(), tensor._version) for tensor in self.parameters())
        if self._cache is None or self._cache[0] != key:
            self._cache = (key, self.compute_factors())
        return self._cache[1]

    def train(self, mode: bool = True) -> Self:
        if mode:
            self._cache = None  # as above
        return super().train(mode)

    def _apply(self, fn, recurse=True):  # type: ignore[no-untyped-def]
        self._cache = None  # a move or a cast may reuse an address
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_cache": None}  # a copy starts without the cache
