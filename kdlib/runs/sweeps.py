"""Lists sweep: a list in a parameter, or a comma on the command line, stands for each of its values in turn."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

from kdlib.base.config import Config, RunType, kind_of, unknown
from kdlib.base.errors import InputError
from kdlib.runs.recipes import RECIPES, fields, names_path, resolve


def values_of(run_type: RunType | str, name: str, value: Any) -> list[Any]:
    """Return the values that a parameter takes: those of a list or of a text with commas, else the one given.

    Raises:
        InputError: the list is empty or holds a value twice, or the parameter is unknown.
    """
    field = fields(run_type).get(name)
    if field is None:
        raise InputError(unknown(name, RECIPES.one(run_type).schema()))
    if isinstance(value, str) and "," in value and kind_of(field) == "value" and not names_path(value):
        value = [part.strip() for part in value.split(",")]
    if not isinstance(value, list | tuple):
        return [value]
    if not value:
        raise InputError(f"{name} = [] is refused: a sweep needs at least one value.")
    if len({repr(v) for v in value}) < len(value):
        raise InputError(f"{name} = {list(value)!r} is refused: a sweep holds each value once.")
    return list(value)


def expand(run_type: RunType | str, given: Mapping[str, Any]) -> list[Config]:
    """Return a resolved config for every element of the product of the lists in `given`.

    Two elements that mean the same (such as two temperatures without a teacher) give one config.
    """
    axes = [[(name, v) for v in values_of(run_type, name, value)] for name, value in given.items()]
    configs = (resolve(run_type, dict(choice)) for choice in itertools.product(*axes))
    return list(dict.fromkeys(configs))


def split(run_type: RunType | str, given: Mapping[str, Any], most: int) -> list[dict[str, Any]]:
    """Cut a sweep into sweeps of at most `most` elements, each a product itself."""
    axes = {name: values_of(run_type, name, value) for name, value in given.items()}
    if math.prod(map(len, axes.values())) <= max(most, 1):
        return [{name: values if len(values) > 1 else values[0] for name, values in axes.items()}]
    longest = max(axes, key=lambda name: len(axes[name]))
    half = (len(axes[longest]) + 1) // 2
    parts = (axes[longest][:half], axes[longest][half:])
    return [piece for part in parts for piece in split(run_type, {**axes, longest: part}, most)]
