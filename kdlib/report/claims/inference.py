"""Intervals and tests over seeds, and over test images within one network. (No torch.)

`paired`, `paired_relative` and `mean_interval` give an `Effect`; `gains` a table of paired effects;
`holm` corrects for several of them; `bootstrap` resamples test images; `seeds_needed` plans.

The unit is a seed (teacher and student share it). Five bootstrapped values cover far less than they say, so
over seeds the interval is Student's t; the bootstrap is for thousands of images of one network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from kdlib.base.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]


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
        """Return the two-sided p value of "the mean is `value`"; NaN with one seed."""
        if self.n < 2:
            return math.nan
        mean = self.mean
        if self.relative:
            mean, value = math.log1p(mean) if mean > -1 else -math.inf, math.log1p(value)
        return _two_sided(mean - value, self.sd, self.n)


def mean_interval(values: ArrayLike, level: float = 0.95) -> Effect:
    """Return the mean over seeds with its Student t interval, mean ± t_{(1+level)/2, n−1} sd / √n.

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
    n, mean = array.size, float(array.mean())
    if n == 1:
        return Effect(mean, math.nan, math.nan, 1, math.nan, math.nan)
    sd = float(array.std(ddof=1))
    if array.min() == array.max():
        mean, sd = float(array[0]), 0.0  # a mean of equal numbers may miss them by a rounding
    half = float(special.stdtrit(n - 1, (1 + level) / 2)) * sd / math.sqrt(n)
    return Effect(mean, mean - half, mean + half, n, sd, _two_sided(mean, sd, n))


def paired(a: ArrayLike, b: ArrayLike, level: float = 0.95) -> Effect:
    """Return the mean of a − b over pairs, with the interval and p value of the paired t test.

    Args:
        a: `(n,)` one value a seed.
        b: `(n,)` the same seeds in the same order.
        level: coverage of the interval, in (0, 1).

    Raises:
        InputError: the lengths differ.
    """
    first, second = _pairs(a, b)
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
    first, second = _pairs(a, b)
    if (first <= 0).any() or (second <= 0).any():
        raise InputError("a relative change needs positive values; one of a or b is zero or below.")
    effect = mean_interval(np.log(first / second), level)
    with np.errstate(over="ignore"):  # the end of a very wide interval is infinite
        mean, low, high = (float(np.expm1(value)) for value in (effect.mean, effect.low, effect.high))
    return Effect(mean, low, high, effect.n, effect.sd, effect.p, relative=True)


def gains(
    frame: pd.DataFrame,
    value: str = "test_accuracy",
    baseline: str = "deterministic",
    by: str = "teacher",
    on: Sequence[str] = ("seed",),
    level: float = 0.95,
) -> pd.DataFrame:
    """Return the paired gain of every group over the baseline group, a row a group in order of appearance.

    Args:
        frame: a table of runs, one row for each group and each value of `on`.
        value: the column to compare.
        baseline: the group that is subtracted.
        by: the column of groups.
        on: the columns that make a pair; a pair missing on either side is left out, and n says so.
        level: coverage of the intervals, in (0, 1).

    Returns:
        Columns `by`, mean, low, high, n, sd, p, and p_holm: Holm's correction over the rows.

    Raises:
        InputError: no baseline, or two rows of a group with the same `on`.
    """
    import pandas as pd

    keys = list(on)
    twice = frame.duplicated([by, *keys])
    if twice.any():
        row = frame.loc[twice, [by, *keys]].iloc[0].to_dict()
        raise InputError(f"{row} stands for several runs; choose one run a pair, or add to on = {keys}.")
    wide = frame.pivot(index=keys, columns=by, values=value)
    if baseline not in wide:
        raise InputError(f"baseline = {baseline!r}; the column {by} has {', '.join(map(str, wide.columns))}.")
    rows = []
    for group in dict.fromkeys(frame[by]):
        both = wide[[group, baseline]].dropna() if group != baseline else wide.iloc[:0]
        if len(both):
            effect = paired(both[group].to_numpy(), both[baseline].to_numpy(), level)
            rows.append({by: group, **vars(effect)})
    table = pd.DataFrame(rows, columns=[by, "mean", "low", "high", "n", "sd", "p"])
    return table.assign(p_holm=holm(table["p"].to_numpy(np.float64)))


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
    values = np.asarray(p_values, np.float64)
    corrected = np.full(values.shape, np.nan)
    order = np.argsort(values)[: np.count_nonzero(~np.isnan(values))]
    steps = np.minimum(1.0, values[order] * np.arange(len(order), 0, -1))
    corrected[order] = np.maximum.accumulate(steps)
    return corrected


def bootstrap(
    values: ArrayLike,
    statistic: Callable[[NDArray[np.generic]], float],
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Return a statistic of test images with its percentile bootstrap interval: (estimate, low, high).

    Args:
        values: `(n, …)` one row a test image; rows are drawn with replacement.
        statistic: maps `(n, …)` to a number.
        level: coverage, in (0, 1).
        draws: how many resamples.
        seed: of the resampling.

    Source: Efron 1979.
    """
    rows = np.asarray(values)
    generator = np.random.default_rng(seed)
    replicates = np.array([statistic(rows[generator.integers(len(rows), size=len(rows))]) for _ in range(draws)])
    low, high = np.quantile(replicates, [(1 - level) / 2, (1 + level) / 2])
    return float(statistic(rows)), float(low), float(high)


def seeds_needed(effect: Effect, smallest: float, power: float = 0.8, level: float = 0.95, comparisons: int = 1) -> int:
    """Return the number of seeds with which a verdict is likely, given the spread seen so far.

    The smallest n ≥ 5 at which the two-sided paired t test detects a true effect of `smallest` with
    probability `power`. By symmetry the same n shows with about that probability that an effect of zero
    falls short of `smallest`. Only the spread of `effect` enters, not its mean, which is still noise.

    Args:
        effect: of at least two seeds.
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
    alpha = (1 - level) / comparisons
    distance = math.log1p(smallest) if effect.relative else smallest

    def enough(n: int) -> bool:
        limit, shift = special.stdtrit(n - 1, 1 - alpha / 2), distance / effect.sd * math.sqrt(n)
        return bool(1 - special.nctdtr(n - 1, shift, limit) >= power)

    low = high = 5
    if effect.sd == 0 or enough(5):
        return 5
    while not enough(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _pairs(a: ArrayLike, b: ArrayLike) -> tuple[Floats, Floats]:
    """Return both sides of the pairs as float64, or raise where they cannot be pairs."""
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if first.shape != second.shape:
        raise InputError(f"a has shape {first.shape} and b {second.shape}; pairs need one of each.")
    return first, second


def _two_sided(mean: float, sd: float, n: int) -> float:
    """Return the p value of a t statistic, also where every value is the same."""
    if sd == 0:
        return float(mean == 0)
    return float(2 * special.stdtr(n - 1, -abs(mean) / (sd / math.sqrt(n))))
