"""Sets of the synthetic experiment, texts joined by `+`, checked and written in one way."""

from __future__ import annotations

import itertools
import math
from typing import Any

from kdlib.base.errors import InputError
from kdlib.experiments.synthetic.config import Supervision, SyntheticConfig

LARGEST = 2**31
MEMORY = 8 * 2**30
"""Bytes that a synthetic experiment may need, by `memory`."""
SHARPEST = 1e-12
"""Least noise variance in units of the largest squared mean value: below it the BCPs are lost to rounding."""


def numbers(name: str, text: str, low: float, high: float, meaning: str, least: int = 1) -> list[float]:
    """Return the numbers of a set, each once, from the smallest.

    Raises:
        InputError: one is no number strictly between `low` and `high`, or there are fewer than `least`.
    """
    try:
        values = sorted({float(part) for part in text.split("+") if part.strip()})
    except ValueError:
        values = [math.nan]
    if len(values) < least or not all(low < value < high for value in values):
        raise InputError(f"{name} = {text!r} is refused: allowed are {meaning}, joined by +.")
    return values


def joined(values: list[float]) -> str:
    """Return numbers as a set is written."""
    return "+".join(f"{value:.12g}" for value in values)


def seeds(text: str) -> str:
    """Return a set of seeds, each once, from the smallest.

    Raises:
        InputError: one is no whole number from 0 to 2³¹ − 1, or there is none.
    """
    parts = [part.strip() for part in text.split("+") if part.strip()]
    if not parts or not all(part.isdecimal() and int(part) < LARGEST for part in parts):
        raise InputError(f"seeds = {text!r} is refused: allowed are whole numbers below 2147483648, joined by +.")
    return "+".join(map(str, sorted({int(part) for part in parts})))


def supervisions(text: str) -> list[Supervision]:
    """Return a set of supervisions, each once, in the order of the enum.

    Raises:
        InputError: one is unknown, or there is none.
    """
    parts = {part.strip() for part in text.split("+") if part.strip()}
    if not parts or parts - set(Supervision):
        raise InputError(
            f"supervisions = {text!r} is refused: allowed are {', '.join(Supervision)}, joined by +, at least one."
        )
    return [kind for kind in Supervision if kind in parts]


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


def normalised(config: SyntheticConfig) -> dict[str, Any]:
    """Return the parameters of a synthetic experiment as they are kept: sets in order, those without effect constant.

    Raises:
        InputError: a set is refused, or numbers do not fit each other.
    """
    kinds = supervisions(config.supervisions)
    weights = numbers("kd_weights", config.kd_weights, 0, 1, "numbers between 0 and 1")
    noise = numbers("concentrations", config.concentrations, 0, 1e6, "numbers above 0 and below a million")
    values = numbers("mean_values", config.mean_values, -1e6, 1e6, "two numbers or more", least=2)
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
    largest = max(value**2 for value in values)
    if config.noise_variance < SHARPEST * largest:
        raise InputError(
            f"noise_variance = {config.noise_variance:g} is refused with mean_values = {config.mean_values!r}: points "
            f"would not differ from their means by more than rounding, allowed is {SHARPEST * largest:g} or more."
        )
    each = {Supervision.NOISY_BCP: len(noise), Supervision.MIXTURE: len(weights)}
    check_memory(config, len(seeds(config.seeds).split("+")), sum(each.get(kind, 1) for kind in kinds))
    changed = {
        "seeds": seeds(config.seeds),
        "supervisions": "+".join(kinds),
        "concentrations": joined(noise),
        "kd_weights": joined(weights),
        "mean_values": joined(values),
    }
    idle = {
        "concentrations": Supervision.NOISY_BCP not in kinds,
        "kd_weights": Supervision.MIXTURE not in kinds,
        "width": config.layers == 0,
    }
    constants = {n: SyntheticConfig.model_fields[n].default for n, without_effect in idle.items() if without_effect}
    return {**changed, **constants}
