"""What run notebooks show of the runs that they made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kdlib.report import page
from kdlib.report.claims import synthetic
from kdlib.report.draw import synthetic as figures
from kdlib.report.draw.curves import SEEN, training
from kdlib.report.sections import named
from kdlib.runs.recipes import RECIPES
from kdlib.store.runs import Run
from kdlib.study.rows import histories, table

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("val_accuracy", "test_accuracy", "test_nll", "test_ece", "test_kl_to_bcp", "test_agreement",
           "cam_entropy", "cam_area", "cam_variation", "cam_overlap", "cam_spread", "seconds")  # fmt: skip


def of_runs(done: Sequence[Run]) -> pd.DataFrame:
    """Return the table of runs."""
    return table(only=[run.name for run in done])


def summary(done: Sequence[Run]) -> pd.DataFrame:
    """Return a table of runs, one a row, with the settings in which they differ and their main metrics."""
    frame = of_runs(done).set_index("run")
    settings = [n for n in frame if any(n in recipe.schema().model_fields for recipe in RECIPES.values())]
    differing = [name for name in settings if frame[name].astype(str).nunique() > 1]
    return frame[[*differing, *(c for c in COLUMNS if c in frame and frame[c].notna().any())]]


def curves(done: Sequence[Run]) -> None:
    """Show how runs trained, a line a group of seeds; nothing for runs that trained no network."""
    frame = of_runs(done)
    history = histories(frame)
    if history.empty:
        return
    groups = named(frame.assign(teacher_label=frame["teacher"]))[["run", "group"]]
    rows = history.merge(groups, on="run")
    page.figure(
        training(rows, "group"),
        "training",
        "Training loss, validation NLL and accuracy of every epoch. Bands are 95 % t intervals over runs.",
        "Three panels against epochs: training loss, validation NLL, validation accuracy.",
        rows[["group", "run", "epoch", *SEEN]],
    )


def outcomes(frame: pd.DataFrame) -> None:
    """Show what the networks of the last synthetic experiment reached, a row a supervision."""
    ends = synthetic.outcomes(frame.tail(1)).sort_values("noise_share", kind="stable")
    page.table(page.means(ends, figures.OUTCOMES, "supervision"), "Means over seeds, and half their 95 % t intervals")


def ways(frame: pd.DataFrame) -> None:
    """Show the paths of the last synthetic experiment: quality, variance and, where it is known, the distance."""
    walked = synthetic.paths(frame.tail(1))
    walked = figures.bounded(walked, synthetic.outcomes(frame.tail(1))) if "distance" in walked else walked
    for name in ("quality", "variance", "distance"):
        values = getattr(figures, name.upper())
        if set(values) <= set(walked):
            page.figure(
                figures.path(walked, values),
                name,
                "Means along the path, by supervision. Bands are 95 % t intervals over seeds.",
                f"A panel a measure against steps, a line a supervision: {name}.",
                walked[["supervision", "seed", "step", *values]],
            )


def scaled(frame: pd.DataFrame) -> None:
    """Show what noise costs in each synthetic experiment, a line a learning rate."""
    for name, part in synthetic.experiments(frame):
        rows = synthetic.outcomes(part)
        page.figure(
            figures.scaling(rows),
            f"scaling {name}",
            "Variance over the last half of the path, and lost accuracy. Bands are 95 % t intervals over seeds.",
            "Two panels against the noise share, a line a learning rate.",
            rows[["learning_rate", "supervision", "noise_share", "seed", "gradient_variance", "test_accuracy_lost"]],
        )
