"""Convergence noise: what it says of curves whose noise is known."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

from kdlib.base.errors import InputError
from kdlib.measures.convergence import WINDOWS, noise, of


def by_hand(curve: list[float], window: int) -> float:
    """Evaluate the definition epoch by epoch, counted from 1."""
    last, half = len(curve), window // 2
    squares = []
    for t in range(1, last + 1):
        if t > last / 2 and t - half >= 1 and t + half <= last:
            around = [curve[s - 1] for s in range(t - half, t + half + 1)]
            squares.append((curve[t - 1] - sum(around) / window) ** 2)
    return (sum(squares) / len(squares) / (1 - 1 / window)) ** 0.5 if squares else float("nan")


def histories(curves: dict[str, list[float]], steps: int = 3) -> pd.DataFrame:
    """Return histories as the table gives them: validation in the rows that end an epoch."""
    parts = []
    for name, curve in curves.items():
        step = np.arange(1, steps * len(curve) + 1)
        accuracy = np.full(len(step), np.nan)
        accuracy[steps - 1 :: steps] = curve
        parts.append(pd.DataFrame({"run": name, "step": step, "val_accuracy": accuracy}))
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("window", WINDOWS)
def test_independent_noise_about_a_line_gives_its_own_sd(window: int) -> None:
    rng = np.random.default_rng(0)
    line = np.linspace(0.3, 0.9, 60)
    squares = noise(line + rng.normal(0, 0.02, (4000, 60)), window) ** 2
    # squares of the residuals of one curve hang together: the error of their mean is taken from the 4,000 curves
    error = squares.std(ddof=1) / np.sqrt(len(squares))
    assert abs(squares.mean() - 0.02**2) < 4 * error and error < 0.01 * 0.02**2
    assert np.sqrt(squares.mean()) == pytest.approx(0.02, rel=0.02)


@pytest.mark.parametrize("window", WINDOWS)
def test_a_line_has_no_noise_and_a_constant_none_at_all(window: int) -> None:
    assert noise(np.linspace(0.2, 0.8, 40), window) == 0.0
    assert noise(np.full((3, 40), 0.7), window).tolist() == [0.0, 0.0, 0.0]
    # a curve that jumps up and down by d every epoch: what is left of it in the average has one known sign
    left = (-1) ** (window // 2) / window
    jumps = noise(0.5 + 0.01 * (-1.0) ** np.arange(40), window)
    assert jumps == pytest.approx(0.01 * (1 - left) / (1 - 1 / window) ** 0.5)


def test_only_the_second_half_counts() -> None:
    late = np.full(40, 0.7)
    early = late.copy()
    early[:18:2] -= 0.3  # epochs 1, 3, … 17; the window of epoch 21 begins at epoch 19
    assert noise(early) == noise(late) == 0.0
    early[30] -= 0.3
    assert noise(early) > 0


@pytest.mark.parametrize(("epochs", "window"), [(5, 3), (6, 5), (7, 5), (12, 9), (15, 3), (40, 15), (41, 5)])
def test_the_definition_by_hand(epochs: int, window: int) -> None:
    curve = np.random.default_rng(epochs).random(epochs).tolist()
    assert noise(curve, window) == pytest.approx(by_hand(curve, window))


def test_scale_and_offset() -> None:
    curves = np.random.default_rng(1).random((5, 30))
    np.testing.assert_allclose(noise(0.25 * curves + 0.1), 0.25 * noise(curves))


def test_a_short_history_has_no_noise_to_measure() -> None:
    assert np.isnan(noise([0.5, 0.6, 0.7, 0.8])) and np.isnan(noise([]))
    assert np.isfinite(noise([0.1, 0.2, 0.5, 0.4, 0.6])) and np.isnan(noise(np.arange(28.0), 29))
    assert np.isfinite(noise([0.1, 0.2, 0.5], 3)) and np.isnan(noise([0.1, 0.2], 3))


@pytest.mark.parametrize("window", [1, 4, 0, -3])
def test_a_window_is_odd_and_wide_enough(window: int) -> None:
    with pytest.raises(InputError, match="window"):
        noise([0.5] * 40, window)
    with pytest.raises(InputError, match="window"):
        of(pd.DataFrame(), window)


def test_runs_of_any_length_and_order() -> None:
    rng = np.random.default_rng(2)
    curves = {f"r{n}-{k}": rng.random(n).tolist() for k in range(2) for n in (20, 3, 9)}
    frame = histories(curves)
    mixed = of(frame.sample(frac=1, random_state=0))
    found = of(frame)
    assert found.name == "convergence_noise" and list(found.index) == list(curves)
    for name, curve in curves.items():
        assert found[name] == pytest.approx(by_hand(curve, 5), nan_ok=True)
    pd.testing.assert_series_equal(mixed[found.index], found)
    assert found.isna().sum() == 2  # three epochs have no room for a window of five
    assert of(frame.iloc[:0]).empty


def test_a_thousand_runs_take_no_time() -> None:
    curves = np.random.default_rng(3).random((1000, 40))
    frame = histories({f"run-{k}": curve.tolist() for k, curve in enumerate(curves)}, steps=1)
    started = time.perf_counter()
    np.testing.assert_allclose(of(frame).to_numpy(), noise(curves))
    assert time.perf_counter() - started < 2
