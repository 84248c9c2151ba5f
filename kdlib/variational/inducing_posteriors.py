"""The approximate posteriors q(U) of inducing weights: diagonal, matrix-normal, full, ensemble.

Each has `centre() -> (rows, columns)`, `draw(samples, ...) -> (samples, rows, columns)`, and the two numbers
that a KL to a Gaussian prior needs: `energy(P_r, P_c)` = E‖P_r U P_cᵀ‖² (squared Frobenius norm; None stands
for the identity) and `log_det()` = ln |Cov vec U|. With prior precision (P_cᵀP_c) ⊗ (P_rᵀP_r), k = rows ·
columns: KL = ½(energy − k − log_det − ln |prior precision|).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from kdlib.errors import InputError
from kdlib.options import InducingPosterior
from kdlib.variational.options import Options
from kdlib.variational.posterior import from_raw, to_raw

FULL_LIMIT = 4096
"""Most inducing weights a layer may have under a full covariance: 4096² float32 numbers are 64 MiB."""

MEMBER_SPREAD = 0.3
"""Sd of an ensemble's members around the first one, in units of the root mean square of its U.

Members share batch-norm statistics: with independent first values these fit none of them early in training.
"""


def between(left: Tensor | None, middle: Tensor, right: Tensor | None) -> Tensor:
    """Return left · middle · rightᵀ, where None is the identity."""
    if left is not None:
        middle = left @ middle
    return middle if right is None else middle @ right.mT


class Scaled(nn.Module):
    """Hold a Cholesky factor L = diag(s) C whose rows of C have unit norm, so that s are the marginal sd.

    C is a lower triangular matrix with 1 on the diagonal, its rows divided by their norms: a cap of s caps
    every marginal sd exactly, whatever the correlations.
    """

    def __init__(self, size: int, sd: float, cap: float | None, like: Tensor) -> None:
        super().__init__()
        self.cap = cap
        self.raw_sd = nn.Parameter(torch.full((size,), to_raw(sd, cap), dtype=like.dtype, device=like.device))
        self.lower = nn.Parameter(torch.zeros(size, size, dtype=like.dtype, device=like.device))

    def factor(self) -> tuple[Tensor, Tensor]:
        """Return L, (size, size), and ln |L Lᵀ| (a scalar)."""
        sd = from_raw(self.raw_sd, self.cap)
        lower = self.lower.tril(-1)
        length = (1 + lower.square().sum(1)).sqrt()
        unit = lower + torch.eye(len(sd), dtype=sd.dtype, device=sd.device)
        return (sd / length)[:, None] * unit, 2 * (sd / length).log().sum()


class InducingWeights(nn.Module, ABC):
    """Hold q(U); `start` is the first mean, (rows, columns)."""

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.mean = nn.Parameter(start.clone())

    def centre(self) -> Tensor:
        """Return the mean of U, (rows, columns); the first member of an ensemble."""
        return self.mean

    def noise(self, samples: int, generator: torch.Generator | None) -> Tensor:
        """Return standard normal numbers, (samples, rows, columns)."""
        mean = self.mean
        shape = (samples, *mean.shape[-2:])
        return torch.randn(shape, generator=generator, dtype=mean.dtype, device=mean.device)

    @abstractmethod
    def draw(self, samples: int, generator: torch.Generator | None, members: Tensor | None) -> Tensor:
        """Draw U, (samples, rows, columns)."""

    @abstractmethod
    def energy(self, left: Tensor | None, right: Tensor | None) -> Tensor:
        """Return E‖left U rightᵀ‖² (a scalar)."""

    @abstractmethod
    def log_det(self) -> Tensor:
        """Return ln |Cov vec U| (a scalar)."""


class Diagonal(InducingWeights):
    """Hold q(U) = Π N(m_ij, s_ij²)."""

    def __init__(self, start: Tensor, options: Options) -> None:
        super().__init__(start)
        self.cap = options.max_sd
        self.raw_sd = nn.Parameter(torch.full_like(start, to_raw(options.initial_sd, self.cap)))

    def draw(self, samples: int, generator: torch.Generator | None, members: Tensor | None) -> Tensor:
        return torch.addcmul(self.mean, self.noise(samples, generator), from_raw(self.raw_sd, self.cap))

    def energy(self, left: Tensor | None, right: Tensor | None) -> Tensor:
        variance = from_raw(self.raw_sd, self.cap).square()
        if left is not None:
            variance = left.square().sum(0)[:, None] * variance
        if right is not None:
            variance = variance * right.square().sum(0)
        return between(left, self.mean, right).square().sum() + variance.sum()

    def log_det(self) -> Tensor:
        return 2 * from_raw(self.raw_sd, self.cap).log().sum()


class MatrixNormal(InducingWeights):
    """Hold q(U) = MN(m, S_r, S_c): U = m + L_r E L_cᵀ, Cov vec U = S_c ⊗ S_r.

    The sd of U_ij is s_r,i s_c,j; each factor is capped at the root of the cap.
    """

    def __init__(self, start: Tensor, options: Options) -> None:
        super().__init__(start)
        sd, cap = options.initial_sd**0.5, None if options.max_sd is None else options.max_sd**0.5
        self.row = Scaled(start.shape[0], sd, cap, start)
        self.column = Scaled(start.shape[1], sd, cap, start)

    def draw(self, samples: int, generator: torch.Generator | None, members: Tensor | None) -> Tensor:
        left, right = self.row.factor()[0], self.column.factor()[0]
        return self.mean + left @ (self.noise(samples, generator) @ right.mT)

    def energy(self, left: Tensor | None, right: Tensor | None) -> Tensor:
        row, column = self.row.factor()[0], self.column.factor()[0]
        spread = between(left, row, None).square().sum() * between(right, column, None).square().sum()
        return between(left, self.mean, right).square().sum() + spread

    def log_det(self) -> Tensor:
        rows, columns = self.mean.shape
        return columns * self.row.factor()[1] + rows * self.column.factor()[1]


class Full(InducingWeights):
    """Hold q(U) = N(vec m, L Lᵀ), with U flattened row by row.

    Raises:
        InputError: more than `FULL_LIMIT` inducing weights in the layer.
    """

    def __init__(self, start: Tensor, options: Options) -> None:
        super().__init__(start)
        if start.numel() > FULL_LIMIT:
            raise InputError(
                f"inducing_posterior = 'full' is refused for {start.shape[0]} x {start.shape[1]} inducing weights in a "
                f"layer, whose covariance has {start.numel() ** 2:,} numbers; inducing_rows x inducing_columns must be "
                f"at most {FULL_LIMIT}."
            )
        self.joint = Scaled(start.numel(), options.initial_sd, options.max_sd, start)

    def draw(self, samples: int, generator: torch.Generator | None, members: Tensor | None) -> Tensor:
        noise = self.noise(samples, generator).flatten(1)
        return self.mean + (noise @ self.joint.factor()[0].mT).view(samples, *self.mean.shape)

    def energy(self, left: Tensor | None, right: Tensor | None) -> Tensor:
        columns = self.joint.factor()[0].mT.view(-1, *self.mean.shape)  # each column of L as a matrix
        spread = between(left, columns, right).square().sum()
        return between(left, self.mean, right).square().sum() + spread

    def log_det(self) -> Tensor:
        return self.joint.factor()[1]


class Ensemble(InducingWeights):
    """Hold K equally probable points U_k; the first is `start`, the others are drawn around it.

    Points have no density, so that the KL is infinite; its part that depends on the points, the mean of
    ½‖U_k‖² (whitened), stands for it, as if their log-determinant were −k. In training the members take
    turns, the same in all layers; the turn is part of the state.

    Source: Ritter et al. (2021), section 3.2 and appendix (ensembles in U-space).
    """

    turn: Tensor

    def __init__(self, start: Tensor, options: Options) -> None:
        spread = MEMBER_SPREAD * start.square().mean().sqrt()
        others = torch.randn(options.members - 1, *start.shape, dtype=start.dtype, device=start.device)
        super().__init__(torch.cat([start[None], start + spread * others]))
        self.register_buffer("turn", torch.zeros((), dtype=torch.int64, device=start.device))

    def centre(self) -> Tensor:
        return self.mean[0]

    def draw(self, samples: int, generator: torch.Generator | None, members: Tensor | None) -> Tensor:
        if members is None:
            members = self.turn + torch.arange(samples, device=self.mean.device)
            if self.training:
                self.turn.add_(samples)
        return self.mean[members % len(self.mean)]

    def energy(self, left: Tensor | None, right: Tensor | None) -> Tensor:
        return between(left, self.mean, right).square().sum() / len(self.mean)

    def log_det(self) -> Tensor:
        return self.mean.new_tensor(-float(self.mean[0].numel()))


POSTERIORS: dict[InducingPosterior, type[Diagonal | MatrixNormal | Full | Ensemble]] = {
    InducingPosterior.DIAGONAL: Diagonal,
    InducingPosterior.MATRIX: MatrixNormal,
    InducingPosterior.FULL: Full,
    InducingPosterior.ENSEMBLE: Ensemble,
}
