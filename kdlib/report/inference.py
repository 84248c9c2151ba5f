"""Intervals and tests over seeds. (No torch.)

`paired`, `paired_relative` and `mean_interval` give an `Effect`; `holm` corrects for several of them; `seeds_needed`
plans. SciPy's special functions compute: its statistics, and statsmodels, with which all of this agrees, take the
better part of a second to import, and a page asks hundreds of times.

The unit is a seed (teacher and student share it). Five bootstrapped values cover far less than they say, so the
interval is Student's t.
"""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kdlib.base.errors import InputError

Floats = NDArray[np.float64]
MOST_SEEDS = 10**9
"""More are not planned with."""


@dataclass(frozen=True)
class Effect:
    """Hold a mean over seeds with its interval and the test of "it is zero"."""

    mean: float
    low: float
    """Lower end of the interval; NaN with one seed."""
    high: float
    n: int
    """Independent seeds (pairs, for a difference)."""
    sd: float
    """Standard deviation over seeds; NaN with one."""
    p: float
    """Two-sided p value of "the mean is zero"; NaN with one seed."""
    relative: bool = False
    """Whether mean, low and high are relative changes; sd is then that of the logarithm of the ratio."""

    def p_equals(self, value: float) -> float:
        """Return the two-sided p value of "the mean is `value`", of an effect in units; NaN with one seed."""
        return math.nan if self.n < 2 else _two_sided(self.mean - value, self.sd, self.n)

    def in_units(self, unit: float) -> Effect:
        """Return the effect in multiples of `unit`; a negative one turns it.

        A relative change is divided on the scale of logarithms, on which it is tested.
        """
        values = np.array([self.mean, self.low, self.high])
        if self.relative:
            with np.errstate(divide="ignore"):  # a fall by all of it
                values, unit = np.log1p(values), math.log1p(unit)
        mean, *ends = (values / unit).tolist()
        return Effect(mean, min(ends), max(ends), self.n, self.sd / abs(unit), self.p)


def mean_interval(values: ArrayLike, level: float = 0.95) -> Effect:
    """Return the mean over seeds with its Student t interval, mean ± t_{(1+level)/2, n−1} sd / √n, and its t test.

    Values that are equal but for rounding have no spread: the interval is their value, and p is 0 or 1.

    Args:
        values: `(n,)` one value a seed, n ≥ 1.
        level: coverage, in (0, 1).

    Raises:
        InputError: no value, a value that is not finite, or a level outside (0, 1).
    """
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or not array.size or not np.isfinite(array).all():
        raise InputError(f"values = {np.array2string(array, threshold=8)}; they must be finite, one a seed.")
    if not 0 < level < 1:
        raise InputError(f"level = {level}; it must lie between 0 and 1.")
    n, first = array.size, float(array[0])
    if n == 1:
        return Effect(first, math.nan, math.nan, 1, math.nan, math.nan)
    if np.ptp(array) <= 1e-14 * abs(first):
        return Effect(first, first, first, n, 0.0, float(first == 0))
    from scipy.special import stdtrit

    mean, sd = float(array.mean()), float(array.std(ddof=1))
    half = float(stdtrit(n - 1, (1 + level) / 2)) * sd / math.sqrt(n)
    return Effect(mean, mean - half, mean + half, n, sd, _two_sided(mean, sd, n))


def _two_sided(mean: float, sd: float, n: int) -> float:
    """Return the two-sided p value of Student's t test of "it is zero"; without any spread it is so or it is not."""
    from scipy.special import stdtr

    if sd == 0:
        return float(mean == 0)
    return float(2 * stdtr(n - 1, -abs(mean) / (sd / math.sqrt(n))))


def paired(a: ArrayLike, b: ArrayLike, level: float = 0.95) -> Effect:
    """Return the mean of a − b over pairs, with the interval and p value of the paired t test.

    Args:
        a: `(n,)` one value a seed.
        b: `(n,)` the same seeds in the same order.
        level: coverage of the interval, in (0, 1).

    Raises:
        InputError: the lengths differ.
    """
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if first.shape != second.shape:
        raise InputError(f"a has shape {first.shape} and b {second.shape}; pairs need one of each.")
    return mean_interval(first - second, level)


def paired_relative(a: ArrayLike, b: ArrayLike, level: float = 0.95) -> Effect:
    """Return the mean relative change from b to a over pairs: −0.3 says that a is 30 % lower.

    The t interval is that of log(a / b), mapped by exp(·) − 1, so the mean is the geometric one. `sd` and
    `p` are those of log(a / b).

    Args:
        a: `(n,)` positive values, one a seed.
        b: `(n,)` the same seeds in the same order.
        level: coverage of the interval, in (0, 1).

    Raises:
        InputError: the lengths differ, or a value is not positive.
    """
    if np.less_equal(a, 0).any() or np.less_equal(b, 0).any():
        raise InputError("a relative change needs positive values; one of a or b is zero or below.")
    effect = paired(np.log(a), np.log(b), level)
    with np.errstate(over="ignore"):  # the end of a very wide interval is infinite
        mean, low, high = np.expm1([effect.mean, effect.low, effect.high]).tolist()
    return replace(effect, mean=mean, low=low, high=high, relative=True)


def holm(p_values: ArrayLike) -> Floats:
    """Return p values corrected for their number, by Holm's step-down procedure.

    p̃_(i) = max_{j ≤ i} min(1, (m − j + 1) p_(j)): rejecting p̃ ≤ α keeps the chance of any false rejection
    below α, however the tests depend on each other. NaN (no test was made) stays NaN and is not counted.

    Args:
        p_values: `(m,)` in [0, 1].

    Returns:
        `(m,)` corrected p values, in the given order.

    Source: Holm 1979.
    """
    corrected = np.array(p_values, np.float64)
    order = np.argsort(corrected)[: int((~np.isnan(corrected)).sum())]  # NaN comes last
    left = np.arange(len(order), 0, -1)
    corrected[order] = np.maximum.accumulate(np.minimum(left * corrected[order], 1))
    return corrected


def seeds_needed(effect: Effect, smallest: float, power: float = 0.8, level: float = 0.95, comparisons: int = 1) -> int:
    """Return the number of seeds with which a verdict is likely, given the spread seen so far.

    The smallest n ≥ 5 at which the two-sided paired t test detects a true effect of `smallest` with
    probability `power`. By symmetry the same n shows with about that probability that an effect of zero
    falls short of `smallest`. Only the spread of `effect` enters, not its mean, which is still noise.

    Args:
        effect: of at least two seeds; a relative change `in_units`.
        smallest: the smallest effect of interest, above 0.
        power: in (0, 1).
        level: 1 − α of the test.
        comparisons: tests that share α; the first step of Holm divides α by it.

    Raises:
        InputError: fewer than two seeds, or `smallest` not above 0.

    Source: Cohen 1988, chapter 2 (noncentral t).
    """
    if effect.n < 2 or smallest <= 0:
        raise InputError(f"n = {effect.n}, smallest = {smallest}; planning needs n ≥ 2 and smallest > 0.")
    from scipy.special import nctdtr, stdtrit

    size = min(smallest / effect.sd if effect.sd else math.inf, 10.0)  # five seeds are as sure to be enough beyond
    alpha = (1 - level) / comparisons / 2  # of the side on which the effect lies, the only one that counts

    def falls_short(n: int) -> float:
        return float(nctdtr(n - 1, size * math.sqrt(n), stdtrit(n - 1, 1 - alpha)))

    # the power grows with n, so the chance of falling short sinks
    return 5 + bisect.bisect_left(range(5, MOST_SEEDS), power - 1, key=lambda n: -falls_short(n))
