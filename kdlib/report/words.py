"""How pages say numbers, in one way: signed, with unit, interval and n. (No torch.)"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from kdlib.report.inference import Effect, mean_interval
from kdlib.report.theme import name_of

if TYPE_CHECKING:
    import pandas as pd

UNITS = {"accuracy": (100.0, "points", 2), "relative change": (100.0, "%", 1), "nats": (1.0, "nats", 3)}
"""How an effect is written: factor, unit, decimals."""


def plain(text: str) -> str:
    """Return a text that a user gave, a study's title or a folder, as Markdown that shows it and means nothing else."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(text.split()))


def signed(value: float, digits: int) -> str:
    """Write a number with its sign, a real minus, and no sign where it rounds to zero."""
    text = f"{value:+,.{digits}f}"
    return text[1:] if float(text.replace(",", "")) == 0 else text.replace("-", "−")


def amount(value: float, unit: str) -> str:
    """Write an effect in the unit that readers see, without the unit's name."""
    factor, _, digits = UNITS[unit]
    value *= factor  # the sign of −0.00 stays: it says on which side of zero an interval ends
    return f"{value:+,.{0 if abs(value) >= 100 else digits}f}".replace("-", "−")


def interval(effect: Effect, unit: str) -> str:
    """Write an effect with its 95 % interval and unit."""
    ends = "" if math.isnan(effect.low) else f" [{amount(effect.low, unit)}, {amount(effect.high, unit)}]"
    return f"{amount(effect.mean, unit)}{ends} {UNITS[unit][1]}"


def differences(found: Mapping[str, Effect | None], unit: str) -> str:
    """Write several effects in one line; nothing of those that were not measured."""
    return ", ".join(f"{name_of(name)} {interval(one, unit)} (n = {one.n})" for name, one in found.items() if one)


def counted(pairs: list[int]) -> str:
    """Write how many seeds some effects have."""
    low, high = min(pairs, default=0), max(pairs, default=0)
    return f"n = {low}" if low == high else f"n = {low} to {high}"


def p_value(value: float) -> str:
    """Write a p value; a dash where there was no test."""
    return "–" if math.isnan(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"


def with_interval(values: pd.Series[float]) -> str:
    """Write a mean over seeds and half its 95 % t interval, the value alone where there is one, a dash where none."""
    known = values.dropna().astype(float)
    if known.empty:
        return "–"
    one = mean_interval(known)
    half = (one.high - one.low) / 2
    digits = 1 if max(abs(one.mean), half) >= 5 else 3
    return f"{one.mean:,.{digits}f}".replace("-", "−") + ("" if math.isnan(half) else f" ± {half:.{digits}f}")
