"""Sets of the synthetic experiment, texts joined by `+`, checked and written in one way."""

from __future__ import annotations

import math
from typing import Any

from kdlib.errors import InputError
from kdlib.options import Supervision
from kdlib.schema import SyntheticConfig

LARGEST = 2**31


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
