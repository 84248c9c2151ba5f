"""What a variational posterior may look like: its options, checked when they are made."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from kdlib.base.errors import InputError


class Family(StrEnum):
    """The family of the approximate posterior over weights."""

    MEAN_FIELD = "mean_field"
    """An independent Gaussian for every weight."""
    INDUCING = "inducing"
    """Weights conditioned on a few inducing weights a layer, which alone have a posterior (FFG-U)."""


class NormStatistics(StrEnum):
    """Where the batch norms of a network with drawn weights take their means and variances from."""

    RUNNING = "running"
    """The running averages of training, over the draws of many steps."""
    DRAW = "draw"
    """The weights at hand: one pass over calibration images, for each draw and for the centre."""


@dataclass(frozen=True)
class Options:
    """Hold the settings of `bayesianize`; the defaults are the published inducing configuration.

    A layer's weights are one matrix W of `d_out` rows and `d_in` columns: inputs × kernel, and one more
    column for the bias where there is one. The prior is N(0, σ²) for each weight, σ = `prior_scale` / √d_in.

    Args:
        family: mean_field or inducing.
        prior_scale: > 0; the prior's sd in units of 1/√d_in.
        initial_sd: > 0; the first sd of q(U), or of q(W) in units of the prior's sd.
        max_sd: cap of the sd of q(U), > `initial_sd`; None is no cap. q(W) of mean_field has none.
        inducing_rows, inducing_columns: ≥ 1; the size of U, never more than the layer's own. From here on:
            inducing only.
        whitened: q is over V with U = L_r V L_cᵀ, whose prior is N(0, I), instead of over U.
        lambda_initial, lambda_max: 0 < initial < max ≤ 1; sd of W given U in units of its prior sd.
        diagonal_initial: > 0.01; the first value of D_r and D_c.

    Raises:
        InputError: a value outside its range.
    """

    family: Family = Family.INDUCING
    prior_scale: float = 1.0
    initial_sd: float = 0.01
    max_sd: float | None = 0.1
    inducing_rows: int = 128
    inducing_columns: int = 128
    whitened: bool = True
    lambda_initial: float = 1e-3
    lambda_max: float = 0.03
    diagonal_initial: float = 0.1

    def __post_init__(self) -> None:
        if self.family not in list(Family):
            raise InputError(f"family is {self.family!r}; it must be one of {', '.join(Family)}.")
        object.__setattr__(self, "family", Family(self.family))
        for name in ("prior_scale", "initial_sd"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"{name} is {value}; it must be a finite number above 0.")
        capped = self.family is Family.INDUCING and self.max_sd is not None
        if capped and not self.initial_sd < (self.max_sd or 0) < math.inf:
            raise InputError(f"max_sd is {self.max_sd}; it must be above initial_sd, which is {self.initial_sd}.")
        if not 0 < self.lambda_initial < self.lambda_max <= 1:
            raise InputError(
                f"lambda_initial is {self.lambda_initial} and lambda_max {self.lambda_max}; "
                "they must satisfy 0 < lambda_initial < lambda_max <= 1."
            )
        for name, least in (("inducing_rows", 1), ("inducing_columns", 1)):
            value = getattr(self, name)
            if value < least:
                raise InputError(f"{name} is {value}; it must be an integer of at least {least}.")
        if not 0.01 < self.diagonal_initial < math.inf:
            raise InputError(f"diagonal_initial is {self.diagonal_initial}; it must be above 0.01.")
