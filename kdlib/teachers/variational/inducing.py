"""Inducing-weight variational inference (FFG-U): a layer's uncertainty lives in a few inducing weights.

The joint prior. W (d_out × d_in) is one block of a larger matrix [[W, ·], [·, U]] = L̂_r E L̂_cᵀ, E standard
normal, with L̂_r = [[σ_r I, 0], [Z_r, D_r]], L̂_c likewise and σ = σ_r σ_c; the blocks marked · are integrated
out. Then W ~ N(0, σ²), U ~ MN(0, Ψ_r, Ψ_c) and Cov(vec W, vec U) = σ (Z_c ⊗ Z_r)ᵀ, where
Ψ_r = Z_r Z_rᵀ + D_r² = L_r L_rᵀ and Ψ_c = Z_c Z_cᵀ + D_c² = L_c L_cᵀ.

The conditional. W | U is Gaussian with
    mean        σ Z_rᵀ Ψ_r⁻¹ U Ψ_c⁻¹ Z_c  =  σ X_rᵀ V X_c
    covariance  σ² (I − Z_cᵀ Ψ_c⁻¹ Z_c ⊗ Z_rᵀ Ψ_r⁻¹ Z_r)  =  σ² (I − X_cᵀ X_c ⊗ X_rᵀ X_r)
with X = L⁻¹ Z and the whitened V = L_r⁻¹ U L_c⁻ᵀ ~ N(0, I). The posterior q(W | U) keeps the mean and
multiplies the covariance by λ².

Matheron's rule: (E, V̄) a joint prior draw of (W / σ, V), then W = σ (λ E + X_rᵀ (V − λ V̄) X_c). With
F = L⁻¹ D, the rows of Y = [X, F] are orthonormal (X Xᵀ + F Fᵀ = L⁻¹ Ψ L⁻ᵀ = I), so that
    H = [E, E'] Y_cᵀ,   V̄ = Y_r [H; E″],   E' (d_out × m_c) and E″ (m_r × m_c) standard normal,
has V̄ ~ N(0, I) and Cov(vec E, vec V̄) = (X_c ⊗ X_r)ᵀ: no further factor is needed.

Source: Ritter, Kukla, Zhang, Li (2021), Sparse uncertainty representation in deep learning with inducing
    weights, sections 3.1 to 3.3 (joint, conditional, λ, extended Matheron's rule).
"""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from kdlib.teachers.variational.mean_field import Gaussian, from_raw, to_raw

DIAGONAL_FLOOR = 0.01
"""Least value of D: Ψ ⪰ 1e-4 I keeps its Cholesky factorisation safe in float32."""
DIAGONAL_INITIAL = 0.1
"""Its first value."""


class Side(NamedTuple):
    """Hold what the rows or the columns contribute: X (m, d), F (m, m) and L (m, m), Ψ = L Lᵀ."""

    x: Tensor
    f: Tensor
    cholesky: Tensor


def invert(cholesky: Tensor) -> Tensor:
    """Return L⁻¹ of a Cholesky factor L."""
    eye = torch.eye(len(cholesky), dtype=cholesky.dtype, device=cholesky.device)
    inverse: Tensor = torch.linalg.solve_triangular(cholesky, eye, upper=False)
    return inverse


Factors = tuple[Side, Side, Tensor, Tensor]
"""The rows' and the columns' `Side`, the mean of W, (d_out, d_in), and λ: what draws share."""


class Inducing(nn.Module):
    """Hold q(W) = ∫ q(W | U) q(U) dU of one layer, or q(V) in place of q(U) where it is whitened.

    KL = KL(q(U) ‖ p(U)) + d_out d_in (λ²/2 − ln λ − ½). U has m_r = min(inducing_rows, d_out) rows and
    m_c = min(inducing_columns, d_in) columns. Z starts with orthonormal rows, drawn from torch's global
    generator, and the mean of U where the mean of W is the projection of `weight` on what Z spans.

    Args:
        weight: (d_out, d_in), the deterministic layer's first weights.
        config: a `VariationalConfig` of this family, with nothing left open.
    """

    _cache: tuple[list[tuple[int, int]], Factors] | None = None

    def __init__(self, weight: Tensor, config: Any) -> None:
        super().__init__()
        weight = weight.detach()
        d_out, d_in = weight.shape
        self.prior_sd = config.prior_scale / d_in**0.5
        self.whitened, self.lambda_max = config.whitened, config.lambda_max
        rows, columns = min(config.inducing_rows, d_out), min(config.inducing_columns, d_in)
        self.z_row = nn.Parameter(nn.init.orthogonal_(weight.new_empty(rows, d_out)))
        self.z_column = nn.Parameter(nn.init.orthogonal_(weight.new_empty(columns, d_in)))
        raw = to_raw(DIAGONAL_INITIAL - DIAGONAL_FLOOR, None)
        self.raw_d_row = nn.Parameter(weight.new_full((rows,), raw))
        self.raw_d_column = nn.Parameter(weight.new_full((columns,), raw))
        self.raw_lambda = nn.Parameter(weight.new_tensor(to_raw(config.lambda_initial, self.lambda_max)))
        with torch.no_grad():
            psi = 1 + DIAGONAL_INITIAL**2  # Ψ = psi I, as Z has orthonormal rows
            start = self.z_row @ weight @ self.z_column.mT * (psi / self.prior_sd)
            start = start if self.whitened else psi * start
        self.inducing = Gaussian(start, config.initial_sd, cap=config.max_sd)  # q(V) or q(U)

    def lambda_(self) -> Tensor:
        """Return λ in (0, lambda_max), a scalar."""
        return from_raw(self.raw_lambda, self.lambda_max)

    @staticmethod
    def side(z: Tensor, raw_d: Tensor) -> Side:
        """Return X = L⁻¹ Z, F = L⁻¹ D and L, the Cholesky factor of Z Zᵀ + D²."""
        d = torch.diag(DIAGONAL_FLOOR + raw_d.exp())
        cholesky = torch.linalg.cholesky(z @ z.mT + d.square())
        y = torch.linalg.solve_triangular(cholesky, torch.cat([z, d], 1), upper=False)
        return Side(y[:, : z.shape[1]], y[:, z.shape[1] :], cholesky)

    def sides(self) -> tuple[Side, Side]:
        """Return what the rows and what the columns contribute."""
        return self.side(self.z_row, self.raw_d_row), self.side(self.z_column, self.raw_d_column)

    def compute_factors(self) -> Factors:
        """Return what draws share, with gradient where it is enabled."""
        row, column = self.sides()
        v = self.whiten(self.inducing.mean, row, column)
        mean: Tensor = self.prior_sd * (row.x.mT @ v @ column.x)  # E[W | V] = σ X_rᵀ V X_c
        return row, column, mean, self.lambda_()

    def whiten(self, u: Tensor, row: Side, column: Side) -> Tensor:
        """Return V = L_r⁻¹ U L_c⁻ᵀ of `u`, (..., m_r, m_c), which is V itself if q is over it."""
        if self.whitened:
            return u
        left = torch.linalg.solve_triangular(row.cholesky, u, upper=False)
        v: Tensor = torch.linalg.solve_triangular(column.cholesky.mT, left, upper=True, left=False)
        return v

    def factors(self) -> Factors:
        """Return `compute_factors()`, in eval mode and without gradient kept until a parameter changes."""
        if self.training or torch.is_grad_enabled() or torch.compiler.is_compiling():
            return self.compute_factors()
        key = [(tensor.data_ptr(), tensor._version) for tensor in self.parameters()]
        if self._cache is None or self._cache[0] != key:
            self._cache = key, self.compute_factors()
        return self._cache[1]

    def train(self, mode: bool = True) -> Self:
        if mode or self.training:
            self._cache = None  # a fused optimiser's step changes parameters and leaves no trace in their versions
        return super().train(mode)

    def centre(self) -> Tensor:
        """Return the weights of the deterministic twin, (d_out, d_in): the mean."""
        return self.factors()[2]

    def draw(self, samples: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw W, (samples, d_out, d_in), from a generator, or torch's global one."""
        return self.draw_given(self.inducing.draw(samples, generator), generator)

    def draw_given(self, u: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw W from q(W | U) for each `u`, (samples, m_r, m_c), by Matheron's rule."""
        row, column, _, lam = self.factors()
        (m_r, d_out), (m_c, d_in) = row.x.shape, column.x.shape
        noise = torch.randn(
            len(u) * (d_out * d_in + d_out * m_c + m_r * m_c), generator=generator, dtype=u.dtype, device=u.device
        )
        w, outer, inner = torch.split(noise, [len(u) * size for size in (d_out * d_in, d_out * m_c, m_r * m_c)])
        w = w.view(len(u), d_out, d_in)
        h = w @ column.x.mT + outer.view(len(u), d_out, m_c) @ column.f.mT
        v_bar = row.x @ h + row.f @ inner.view(len(u), m_r, m_c)
        scaled = self.prior_sd * (row.x.mT @ (self.whiten(u, row, column) - lam * v_bar))
        return torch.addcmul(scaled @ column.x, w, self.prior_sd * lam)

    def kl(self) -> Tensor:
        """Return KL(q(U) ‖ p(U)) + d_out d_in (λ²/2 − ln λ − ½) in nats (a scalar).

        KL(q ‖ p) = ½ (E‖V‖² − m_r m_c − ln |Cov_q vec U| + ln |Cov_p vec U|), where Cov_p of whitened U is I.
        """
        q, lam = self.inducing, self.lambda_()
        conditional = self.z_row.shape[1] * self.z_column.shape[1] * (lam.square() / 2 - lam.log() - 0.5)
        mean: Tensor = q.mean
        variance, log_prior = q.sd().square(), torch.zeros_like(lam)
        if not self.whitened:
            row, column = (side.cholesky for side in self.sides())
            log_prior = 2 * (len(column) * row.diagonal().log().sum() + len(row) * column.diagonal().log().sum())
            left, right = invert(row), invert(column)
            mean, variance = left @ mean, left.square().sum(0)[:, None] * variance
            mean, variance = mean @ right.mT, variance * right.square().sum(0)
        energy = mean.square().sum() + variance.sum()
        return 0.5 * (energy - variance.numel() - 2 * q.sd().log().sum() + log_prior) + conditional
