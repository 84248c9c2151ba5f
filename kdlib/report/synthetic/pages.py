"""Tables and captioned figures of synthetic experiments, as the run notebook and the page show them."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from kdlib.report.pages import caption
from kdlib.report.plots.style import name_of
from kdlib.report.sections import comparison
from kdlib.report.synthetic import figures, report
from kdlib.report.words import raw
from kdlib.store.runs import Run
from kdlib.study.rows import table

if TYPE_CHECKING:
    from IPython.display import HTML

MEASURES = ("gradient_variance", "test_accuracy", "test_accuracy_lost", "test_nll", "test_l2_to_bcp", "test_ece")


def of_runs(done: Sequence[Run]) -> pd.DataFrame:
    """Return the table of runs."""
    return table(only=[run.name for run in done])


def title(label: str, frame: pd.DataFrame) -> HTML:
    """Return the heading of an experiment: its name in the study, its network and learning rate."""
    one = frame.iloc[0]
    network = f"{one['layers']:.0f} hidden layers of {one['width']:.0f}" if one["layers"] else "softmax regression"
    text = f"{name_of(label)}: {network}, {one['steps']:,.0f} steps at learning rate {one['learning_rate']:g}"
    return raw(f"<h3>{html.escape(text)}</h3>")


def measured(frame: pd.DataFrame) -> HTML:
    """Return a table of means with 95 % t intervals over seeds, a row a supervision, of runs at one learning rate."""
    outcomes = report.outcomes(frame).sort_values("noise_share", kind="stable")
    more = [name for name in ("distance",) if name in outcomes]
    return comparison(outcomes, [*MEASURES, *more])


def ways(frame: pd.DataFrame, key: str) -> Iterator[HTML]:
    """Return the figures of one run's paths: quality, the gradient's variance and, where it is known, the distance.

    Args:
        frame: a row of the table of runs.
        key: makes the figures' names unique on the page.
    """
    walked, rate = report.paths(frame), f"{frame['learning_rate'].iloc[0]:g}"
    yield caption(
        figures.quality(walked),
        f"quality-{key}",
        f"On validation points, at learning rate {rate}: how far each supervision's networks are from the Bayes "
        "classifier, and how well they are calibrated. Lines are means over seeds, bands their 95 % t intervals.",
        "Four panels against steps, a line a supervision: accuracy and NLL against Bayes, L2 distance to the BCP, ECE.",
    )
    yield caption(
        figures.variance(walked),
        f"variance-{key}",
        f"Trace of the covariance of single-point gradients along the path, at learning rate {rate}. Under exact BCPs "
        "it falls as the network learns; the noise of the other targets keeps it up.",
        "Two panels against steps, logarithmic: the gradient's variance and the part added by the targets' noise.",
    )
    if "distance" in walked:
        yield caption(
            figures.distances(walked, report.outcomes(frame)),
            f"distance-{key}",
            f"Squared distance to the known optimum at learning rate {rate}, and the upper bound on the same problem. "
            "Only under exact BCPs do both go on falling: noisy targets leave a neighbourhood.",
            "Two panels against steps, logarithmic: the measured squared distance to the optimum, and its bound.",
        )


def scaled(frame: pd.DataFrame, key: str) -> Iterator[HTML]:
    """Return the figures of how things scale with noise and learning rate, of each experiment among the runs."""
    for number, (_, part) in enumerate(report.experiments(frame)):
        yield from _scaled(part, f"{key}-{number}" if number else key)


def _scaled(frame: pd.DataFrame, key: str) -> Iterator[HTML]:
    outcomes = report.outcomes(frame)
    if frame["learning_rate"].nunique() > 1 or outcomes["noise_share"].nunique() > 3:
        yield caption(
            figures.scaling(outcomes),
            f"scaling-{key}",
            "What noise in the supervision costs, by learning rate. The noise share is the covariance of the target "
            "around the BCP in units of a label's. Bars are 95 % t intervals over seeds.",
            "Two panels against the noise share, a line a learning rate: added variance, and lost test accuracy.",
        )
    if "distance" in outcomes and (outcomes["noise_share"] > 0).any():
        yield caption(
            figures.floors(outcomes),
            f"floors-{key}",
            "Where the iterates stay over the last quarter of the path, against ν γ (classes − 1)(dimensions + 1) / 2, "
            "which holds for small learning rates γ and noise shares ν. Each dot is a seed. The bound holds, and is "
            "looser than what happens.",
            "Squared distance to the optimum against its expectation, both logarithmic; bounds lie above.",
        )
