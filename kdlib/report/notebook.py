"""What run notebooks show of the runs that they made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kdlib.runs.recipes import RECIPES
from kdlib.store.runs import Run

if TYPE_CHECKING:
    import pandas as pd
    from IPython.display import HTML

COLUMNS = ("val_accuracy", "test_accuracy", "test_nll", "test_ece", "test_kl_to_bcp", "test_agreement",
           "cam_entropy", "cam_area", "cam_variation", "cam_overlap", "cam_spread", "seconds")  # fmt: skip


def summary(done: Sequence[Run]) -> pd.DataFrame:
    """Return a table of runs, one a row, with the settings in which they differ and their main metrics."""
    from kdlib.study.rows import table

    frame = table(only=[run.name for run in done]).set_index("run")
    settings = [n for n in frame if any(n in recipe.schema().model_fields for recipe in RECIPES.values())]
    differing = [name for name in settings if frame[name].astype(str).nunique() > 1]
    return frame[[*differing, *(c for c in COLUMNS if c in frame and frame[c].notna().any())]]


def curves(done: Sequence[Run]) -> HTML | None:
    """Return a figure of how runs trained, a line a group of seeds; nothing for runs that trained no network."""
    from kdlib.report import plots
    from kdlib.report.pages import caption
    from kdlib.report.plots import style
    from kdlib.report.sections import named
    from kdlib.study.rows import histories, table

    frame = table(only=[run.name for run in done])
    history = histories(frame)
    if history.empty:
        return None
    groups = named(frame.assign(teacher_label=frame["teacher"]))[["run", "group"]]
    style.style()
    # as HTML: only a figure of pyplot's own would be drawn by the kernel itself
    return caption(
        plots.training_curves(history.merge(groups, on="run"), "group"),
        "training",
        "Training loss of every step, validation NLL and accuracy of every epoch.",
        "Three panels against training time: training loss, validation NLL, validation accuracy.",
    )
