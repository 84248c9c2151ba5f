"""What a variational posterior may look like: its options."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
        max_sd: cap of the sd of q(U), > `initial_sd`; q(W) of mean_field has none. From here on: inducing only.
        inducing_rows, inducing_columns: ≥ 1; the size of U, never more than the layer's own.
        lambda_initial, lambda_max: 0 < initial < max ≤ 1; sd of W given U in units of its prior sd.
    """

    family: Family = Family.INDUCING
    prior_scale: float = 1.0
    initial_sd: float = 0.01
    max_sd: float = 0.1
    inducing_rows: int = 128
    inducing_columns: int = 128
    lambda_initial: float = 1e-3
    lambda_max: float = 0.03
