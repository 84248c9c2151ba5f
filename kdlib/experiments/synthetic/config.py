"""What a synthetic experiment is a function of. (No torch.)"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from kdlib.base.config import Config, Precision, RunType, parameter

QUALITY = ("accuracy", "nll", "l2_to_bcp", "ece")
"""Of a network on points that it does not learn from."""
GRADIENTS = ("gradient_variance", "point_variance", "mean_gradient")
"""Of the stochastic gradient on training points: tr Cov[g(x, q)] and tr Cov[g(x, p)], under the network's own targets
and under the exact BCPs, and |mean g(x, q)|²."""
EXACT = ("distance", "curvature")
"""Of a softmax regression, whose optimum is known."""


class Supervision(StrEnum):
    """What a student of the synthetic problem is told of a point; the mean of it is the BCP in each case."""

    ONE_HOT = "one_hot"
    """Its label."""
    EXACT_BCP = "exact_bcp"
    """Its Bayes class probabilities p."""
    NOISY_BCP = "noisy_bcp"
    """A draw of Dirichlet(c p), once a point, for each c of `concentrations`."""
    MIXTURE = "mixture"
    """w p + (1 - w) label, for each w of `kd_weights`."""


class SyntheticConfig(Config):
    """Networks of many seeds and supervisions on a Gaussian mixture, trained together."""

    run_type = RunType.SYNTHETIC
    # what runs on images have, and this one has not
    dataset: ClassVar[str] = "gaussian_mixture"  # type: ignore[misc]
    data_root: ClassVar[None] = None  # type: ignore[misc]
    image_size: ClassVar[None] = None  # type: ignore[misc]
    seed: ClassVar[int] = 0  # type: ignore[misc]
    eval_samples: ClassVar[None] = None  # type: ignore[misc]
    precision: ClassVar[Precision] = Precision.FLOAT32  # type: ignore[misc]

    seeds: str = parameter("0+1+2+3+4+5+6+7+8+9", "seeds, each with a problem and weights of its own", kind="set")
    supervisions: str = parameter(
        "one_hot+exact_bcp+noisy_bcp", "one_hot, exact_bcp, noisy_bcp and mixture, joined by +", kind="set"
    )
    concentrations: str = parameter("0.5+5", "noisy_bcp: c of Dirichlet(c p); less is noisier", kind="set")
    kd_weights: str = parameter("0.5", "mixture: weights of the BCP, those of the labels 1 - that", kind="set")
    classes: int = parameter(5, "classes of the mixture, equally probable", ge=2, le=1000)
    dimensions: int = parameter(30, "coordinates of a point", ge=1, le=10_000)
    mean_values: str = parameter("4+5+6", "what a coordinate of a class mean is drawn from", kind="set")
    noise_variance: float = parameter(2.5, "variance of a point around its class mean", gt=0, le=1000)
    points: int = parameter(50_000, "points: 45 % training, 45 % validation, 10 % test", ge=100, le=10_000_000)
    layers: int = parameter(2, "hidden layers; 0: softmax regression, whose optimum is known", ge=0, le=10)
    width: int = parameter(128, "units of a hidden layer", ge=1, le=10_000)
    learning_rate: float = parameter(5e-4, "learning rate of SGD with a batch of one", gt=0, le=100)
    momentum: float = parameter(0.9, "momentum of SGD", ge=0, lt=1)
    steps: int = parameter(45_000, "steps of each network", ge=1, le=100_000_000)
    validate_every: int = parameter(1000, "steps between validations", ge=1, le=100_000_000)
    validation_points: int = parameter(2000, "points of a validation", ge=10, le=1_000_000)
    gradient_points: int = parameter(1000, "training points whose gradients' variance is measured", ge=10, le=1_000_000)
