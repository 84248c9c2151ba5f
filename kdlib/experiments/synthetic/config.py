"""What a synthetic experiment is a function of: its parameters, and what is refused of them. (No torch.)

A set is a text joined by `+`, kept in one way: each element once, in order.
"""

from __future__ import annotations

import itertools
from enum import StrEnum
from functools import partial
from typing import Annotated, ClassVar

from kdlib.base.config import Config, Precision, RunType, a_set, at_constants, parameter, whole
from kdlib.base.errors import InputError

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


MEMORY = 8 * 2**30
"""Bytes that a synthetic experiment may need, by `memory`."""
SHARPEST = 1e-12
"""Least noise variance in units of the largest squared mean value: below it the BCPs are lost to rounding."""


def _between(low: float, high: float, text: str) -> float:
    if not low < float(text) < high:
        raise ValueError
    return float(text)


KINDS = list(Supervision)
Seeds = Annotated[str, a_set(whole, f"whole numbers below {2**31}")]
Supervisions = Annotated[str, a_set(KINDS.index, ", ".join(KINDS), write=KINDS.__getitem__)]
Concentrations = Annotated[str, a_set(partial(_between, 0, 1e6), "numbers above 0 and below a million")]
Weights = Annotated[str, a_set(partial(_between, 0, 1), "numbers between 0 and 1")]
MeanValues = Annotated[str, a_set(partial(_between, -1e6, 1e6), "two numbers or more", least=2)]


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

    seeds: Seeds = parameter("0+1+2+3+4+5+6+7+8+9", "seeds, each with a problem and weights of its own", kind="set")
    supervisions: Supervisions = parameter(
        "one_hot+exact_bcp+noisy_bcp", "one_hot, exact_bcp, noisy_bcp and mixture, joined by +", kind="set"
    )
    concentrations: Concentrations = parameter("0.5+5", "noisy_bcp: c of Dirichlet(c p); less is noisier", kind="set")
    kd_weights: Weights = parameter("0.5", "mixture: weights of the BCP, those of the labels 1 - that", kind="set")
    classes: int = parameter(5, "classes of the mixture, equally probable", ge=2, le=1000)
    dimensions: int = parameter(30, "coordinates of a point", ge=1, le=10_000)
    mean_values: MeanValues = parameter("4+5+6", "what a coordinate of a class mean is drawn from", kind="set")
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


def memory(config: SyntheticConfig, seeds: int, supervisions: int) -> dict[tuple[str, ...], float]:
    """Return about how many bytes each part of an experiment needs, by the parameters that it grows with.

    With S seeds, T = S · supervisions networks of N numbers, n points of d coordinates and c classes: the problems in
    float64 and stacked in float32 12 · S n (d + c), one more while it is drawn 12 · n d; targets 20 · T · 0.45 n c;
    weights, velocities and their copies 16 · T N; m points with their activations in all networks at once
    5 · T m (d + layers · width + c), where m is the largest of 0.1 n, validation_points and gradient_points; and nine
    measures a validation, 36 · T each. At one and three seeds it is 1.3 and 1.4 times what a process took.
    """
    points, dimensions, classes, networks = config.points, config.dimensions, config.classes, seeds * supervisions
    hidden = config.layers * config.width
    widths = [dimensions, *[config.width] * config.layers, classes]
    count = sum((inputs + 1) * outputs for inputs, outputs in itertools.pairwise(widths))
    seen = max(0.1 * points, config.validation_points, config.gradient_points)
    validations = config.steps / config.validate_every + 1
    return {
        ("points", "dimensions", "classes"): 12.0 * seeds * points * (dimensions + classes) + 12 * points * dimensions,
        ("points", "classes"): 20 * networks * 0.45 * points * classes,
        ("layers", "width", "dimensions", "classes"): 16.0 * networks * count,
        ("points", "validation_points", "gradient_points", "dimensions", "layers", "width"): (
            5 * networks * seen * (dimensions + hidden + classes)
        ),
        ("steps", "validate_every"): 4 * 9 * networks * validations,
    }


def check_memory(config: SyntheticConfig, seeds: int, supervisions: int) -> None:
    """Refuse an experiment that would need more than `MEMORY`.

    Raises:
        InputError: it would; the sentence names the parameters of its largest part.
    """
    parts = memory(config, seeds, supervisions)
    total = sum(parts.values())
    if total > MEMORY:
        names = max(parts, key=parts.__getitem__)
        given = ", ".join(f"{name} = {getattr(config, name)}" for name in names)
        raise InputError(
            f"{given} are refused for {seeds} seeds and {supervisions} supervisions: they need about "
            f"{total / 2**30:,.0f} GiB of memory, allowed are {MEMORY / 2**30:.0f} GiB."
        )


def normalised(config: SyntheticConfig) -> SyntheticConfig:
    """Return the config with what has no effect beside the other parameters set back.

    Raises:
        InputError: numbers do not fit each other.
    """
    if config.steps % config.validate_every:
        raise InputError(
            f"validate_every = {config.validate_every} is refused: allowed is what divides steps = {config.steps}."
        )
    for name in ("validation_points", "gradient_points"):
        most = round(0.45 * config.points)
        if getattr(config, name) > most:
            raise InputError(
                f"{name} = {getattr(config, name)} is refused: of points = {config.points} there are {most}."
            )
    least = SHARPEST * max(float(value) ** 2 for value in config.mean_values.split("+"))
    if config.noise_variance < least:
        raise InputError(
            f"noise_variance = {config.noise_variance:g} is refused with mean_values = {config.mean_values!r}: points "
            f"would not differ from their means by more than rounding, allowed is {least:g} or more."
        )
    kinds = config.supervisions.split("+")
    levels: dict[str, str] = {Supervision.NOISY_BCP: config.concentrations, Supervision.MIXTURE: config.kd_weights}
    count = sum(len(levels.get(kind, "").split("+")) for kind in kinds)
    check_memory(config, len(config.seeds.split("+")), count)
    idle = {
        "concentrations": Supervision.NOISY_BCP not in kinds,
        "kd_weights": Supervision.MIXTURE not in kinds,
        "width": config.layers == 0,
    }
    return at_constants(config, (name for name, without_effect in idle.items() if without_effect))
