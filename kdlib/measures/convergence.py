"""Convergence noise: how much a student's validation accuracy jumps about its trend while it converges. (No torch.)

`noise` measures curves, `of` the histories of a table of runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kdlib.base.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

COLUMN = "convergence_noise"
WINDOW = 5
"""Epochs of the moving average, unless another number is asked for; fixed before any study was read."""
WINDOWS = (3, 5, 9, 15)
"""What the sensitivity to the window is shown for."""


def noise(accuracy: ArrayLike, window: int = WINDOW) -> NDArray[np.float64]:
    """Return the convergence noise of curves, in the unit of the curve.

    For a_1 … a_E and a window of w = 2h + 1 epochs, the trend is the centred moving average
    m_t = (a_{t−h} + … + a_{t+h}) / w and the noise

        sqrt( mean_t (a_t − m_t)² / (1 − 1/w) ),  over the epochs E/2 < t ≤ E − h,

    the second half of training, as far as the window fits. Where the a_t are a straight line plus independent noise of
    standard deviation σ, a_t − m_t has the variance σ² (1 − 1/w), so the expectation of the square is σ² for every w.

    Args:
        accuracy: `(…, epochs)` validation accuracy at the end of each epoch, in [0, 1].
        window: w, odd, at least 3.

    Returns:
        `(…)`; NaN where no epoch of the second half has room for the window, or an accuracy there is not finite.

    Raises:
        InputError: a window that is not odd or below 3.

    Source: ours. The paper (Morad et al. 2026) speaks of up to 30 % less noise in the validation curves.
    """
    if window < 3 or window % 2 == 0:
        raise InputError(f"window = {window!r} is refused: allowed are odd numbers of epochs from 3 on.")
    curves = np.asarray(accuracy, np.float64)
    epochs, half = curves.shape[-1], window // 2
    first = max(epochs // 2, half)  # counted from 0: the first epoch past the middle that has a whole window
    if first + half >= epochs:
        return np.full(curves.shape[:-1], np.nan)
    trend = np.lib.stride_tricks.sliding_window_view(curves, window, axis=-1).mean(axis=-1)
    residuals = curves[..., first : epochs - half] - trend[..., first - half :]
    found = np.sqrt(np.mean(residuals**2, axis=-1) / (1 - 1 / window))
    # a mean of equal numbers may miss them by a rounding, which would be a noise of 1e-17 where there is none
    return np.asarray(np.where(found < 1e-12, 0.0, found), np.float64)


def of(histories: pd.DataFrame, window: int = WINDOW) -> pd.Series[float]:
    """Return the convergence noise of each run, as the series `convergence_noise` with the run's name as its index.

    Args:
        histories: columns run, step and val_accuracy, a row a step of a run; val_accuracy is NaN in the rows that do
            not end an epoch.
        window: odd number of epochs, at least 3.

    Raises:
        InputError: a window that is not odd or below 3.
    """
    import pandas as pd

    noise([], window)  # refuses a window also where there is no run
    ends = histories.dropna(subset="val_accuracy").sort_values("step", kind="stable")
    found = {run: float(noise(curve, window)) for run, curve in ends.groupby("run")["val_accuracy"]}
    return pd.Series(found, pd.Index(histories["run"].unique(), name="run"), np.float64, COLUMN)
