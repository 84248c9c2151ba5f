"""Synthetic experiments as tables out of their arrays, and what claims C1 and C2 compare. (No torch.)"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kdlib.base.config import RunType
from kdlib.base.errors import InputError
from kdlib.experiments.synthetic.config import EXACT, GRADIENTS, QUALITY
from kdlib.experiments.synthetic.problem import levels
from kdlib.report.choice import effect, once
from kdlib.report.inference import Effect, mean_interval
from kdlib.runs.recipes import fields
from kdlib.study import records
from kdlib.study.rows import arrays_of

VARYING = ("learning_rate", "device", "threads", "retrain")
"""Parameters that may differ between the runs of one experiment."""

Value = float | NDArray[Any]

PUBLISHED_RATE = 5e-4
"""The learning rate of the published experiment: claims are judged at the one nearest to it."""


def arrays(name: str) -> records.Arrays:
    """Return the arrays of a run, from the store or from records.

    Raises:
        InputError: neither has it.
    """
    found = arrays_of(name)
    if not found:
        raise InputError(f"run = {name!r} is refused: neither the store nor a record has its arrays.")
    return found


def _trajectories(run: Mapping[Any, Any]) -> pd.DataFrame:
    """Return a row a trajectory, in the order of a run's arrays: by supervision, then by seed."""
    seeds = [int(seed) for seed in str(run["seeds"]).split("+")]
    told = levels(str(run["supervisions"]), str(run["concentrations"]), str(run["kd_weights"]))
    rows = [(level.name, level.noise_share, seed) for level in told for seed in seeds]
    about = pd.DataFrame(rows, columns=["supervision", "noise_share", "seed"])
    return about.assign(**{name: run[name] for name in ("run", "learning_rate")})


def paths(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a row a run, supervision, seed and validation: the measures along the paths.

    `label_variance` is `gradient_variance` − `point_variance`: what the targets' noise adds at equal weights. That is
    exact for points that the weights do not depend on; these are training points, seen up to twice.
    `accuracy_lost` and `nll_above` are to the Bayes classifier on the same points, so that seeds can be compared.

    Args:
        frame: synthetic rows of the table of runs.
    """
    parts = []
    for run in frame.to_dict("records"):
        kept, about = arrays(str(run["run"])), _trajectories(run)
        measured = {key: kept[key] for key in (*QUALITY, *GRADIENTS, *EXACT) if key in kept}
        measured["accuracy_lost"] = kept["bayes_accuracy"][:, None] - measured["accuracy"]
        measured["nll_above"] = measured["nll"] - kept["bayes_nll"][:, None]
        measured["step"] = np.broadcast_to(kept["step"], measured["nll"].shape)
        rows = about.loc[about.index.repeat(len(kept["step"]))]
        parts.append(rows.assign(**{key: values.ravel() for key, values in measured.items()}))
    out = pd.concat(parts, ignore_index=True)
    return out.assign(label_variance=out["gradient_variance"] - out["point_variance"])


def outcomes(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a row a run, supervision and seed: test measures at the end, variances over the last half of the path.

    For softmax regressions also `distance`, the mean squared distance to the optimum over the last quarter, and what
    the bound needs: `noise` σ², `smoothness` L, `curvature` μ (the least on the run's paths) and `start`.
    """
    walked, parts = paths(frame), []
    keys = ["run", "supervision", "seed"]
    share = walked["step"] / walked.groupby("run")["step"].transform("max")
    late = walked[share > 1 / 2].groupby(keys, as_index=False)[[*GRADIENTS, "label_variance"]].mean()
    for run in frame.to_dict("records"):
        kept = {key: values.astype(np.float64) for key, values in arrays(str(run["run"])).items()}
        ends = {f"test_{key}": kept[f"test_{key}"] for key in QUALITY}
        ends["test_accuracy_lost"] = kept["bayes_test_accuracy"] - ends["test_accuracy"]
        if "distance" in kept:
            ends |= {key: kept[key] for key in ("noise", "smoothness")} | {"start": kept["distance"][..., 0]}
            ends["curvature"] = np.full_like(ends["start"], kept["curvature"].min())
        about = {key: run[key] for key in ("momentum", "classes", "dimensions", "steps")}
        parts.append(_trajectories(run).assign(**about, **{key: values.ravel() for key, values in ends.items()}))
    table = pd.concat(parts, ignore_index=True).merge(late, on=keys)
    if "distance" in walked:
        table = table.merge(walked[share > 3 / 4].groupby(keys, as_index=False)["distance"].mean(), on=keys)
    return table.assign(group=table["supervision"])


def bound(step: NDArray[Any], start: Value, rate: Value, curvature: Value, noise: Value) -> NDArray[np.float64]:
    """Return (1 − γμ)ᵏ|θ₀ − θ*|² + 2γσ²/μ, an upper bound of E|θ_k − θ*|² for γ ≤ 1/2L and no momentum.

    The second term is the neighbourhood: zero under exact BCPs, in proportion to the noise share otherwise.

    Source: Gower et al. 2019, theorem 3.1.
    """
    transient: NDArray[np.float64] = (1 - rate * curvature) ** step.astype(np.float64) * start
    return transient + 2 * rate * noise / curvature


def expected_floor(table: pd.DataFrame) -> pd.Series[float]:
    """Return ν γ (classes − 1)(dimensions + 1) / 2, E|θ − θ*|² of the stationary iterates for a small rate γ.

    At the optimum the labels' gradients have the Hessian itself as covariance, so the covariance Σ of the iterates,
    which solves HΣ + ΣH = γνH, is γν/2 in every direction that changes a probability. With momentum m, γ/(1 − m).
    """
    rate = table["learning_rate"] / (1 - table["momentum"])
    floor: pd.Series[float] = table["noise_share"] * rate * (table["classes"] - 1) * (table["dimensions"] + 1) / 2
    return floor


def at_published_rate(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the learning rate that is nearest to the published one (in ratio)."""
    chosen = min(set(table["learning_rate"]), key=lambda rate: abs(np.log(rate / PUBLISHED_RATE)))
    rows: pd.DataFrame = table.loc[table["learning_rate"] == chosen]
    return rows


def experiments(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Return the parts of a table of runs that differ in nothing but the learning rate, each with its name.

    It is the label, with the settings that tell experiments of one label apart.
    """
    settings = [name for name in fields(RunType.SYNTHETIC) if name in frame and name not in VARYING]
    frame = frame if "label" in frame else frame.assign(label="experiment")
    for label, own in frame.groupby("label", sort=False):
        apart = [name for name in settings if own[name].nunique(dropna=False) > 1]
        for values, part in own.groupby(apart, sort=False, dropna=False) if apart else [((), own)]:
            told = (f"{name.replace('_', ' ')} {value}" for name, value in zip(apart, values, strict=True))
            yield " ".join([str(label), *told]), part


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the learning rate whose paths a page shows: the published, or a regression's highest."""
    if "layers" in table and (table["layers"] == 0).all():
        rows: pd.DataFrame = table.loc[table["learning_rate"] == table["learning_rate"].max()]
        return rows
    return at_published_rate(table)


def noisiest(table: pd.DataFrame) -> str | None:
    """Return the noisiest `noisy_bcp` of a table, or None."""
    noisy = table[table["supervision"].str.startswith("noisy_bcp")].sort_values("noise_share")
    return None if noisy.empty else str(noisy["supervision"].iloc[-1])


@once
def judged(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the outcomes that C1 and C2 rest on: of a study's first experiment with hidden layers; maybe none.

    Args:
        frame: a study's synthetic rows.
    """
    rows = frame[frame["layers"] > 0] if len(frame) else frame
    first = next((part for _, part in experiments(rows)), None) if len(rows) else None
    return (
        pd.DataFrame(columns=["supervision", "seed", "noise_share", "gradient_variance"])
        if first is None
        else outcomes(first)
    )


def change(table: pd.DataFrame, treated: str | None, baseline: str) -> Effect | None:
    """Return the relative change of the gradient's variance, paired over seeds, at the published rate.

    Args:
        table: `outcomes` of networks.
        treated, baseline: supervisions; of a gradient that never varies there is no ratio.
    """
    rows = at_published_rate(table) if len(table) else table
    return effect(rows, treated, baseline, "gradient_variance", "supervision", relative=True)


def slope(table: pd.DataFrame) -> Effect | None:
    """Return the slope of log `label_variance` on log noise share over noisy supervisions, a regression a seed.

    One is "in proportion".

    Args:
        table: `outcomes` of networks at one learning rate.
    """
    noisy = table[(table["noise_share"] > 0) & (table["label_variance"] > 0)]
    if noisy["noise_share"].nunique() < 3:
        return None
    lines = [rows for _, rows in noisy.groupby("seed") if rows["noise_share"].nunique() > 1]
    slopes = [np.polyfit(np.log(rows["noise_share"]), np.log(rows["label_variance"]), 1)[0] for rows in lines]
    return mean_interval(slopes) if slopes else None
