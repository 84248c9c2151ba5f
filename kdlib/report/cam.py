"""Pictures of Eigen-CAM maps, out of runs or records: the same images under each teacher, of one seed. (No torch.)"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kdlib import data
from kdlib.report import page
from kdlib.report.choice import gains
from kdlib.report.draw import as_drawn
from kdlib.report.draw.maps import map_grid
from kdlib.store.runs import Run
from kdlib.study.records import Arrays
from kdlib.study.rows import arrays_of, table

IMAGES = 6
"""Rows of a grid."""
FIRST = ("deterministic", "mcmi", "variational")
"""Teachers in the order of their columns; the others follow."""


def pictures(arrays: Arrays, count: int = IMAGES) -> NDArray[np.float64]:
    """Return the first images as matplotlib shows them: `(k, height, width)`, or `(k, height, width, 3)` in [0, 1]."""
    stored = arrays["pictures"][:count]
    images = stored.astype(np.float64) / (255 if stored.dtype == np.uint8 else 1)
    return as_drawn(images)


def broader(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the entropy of each map minus that of the deterministic teacher's of the same seed, also maybe no rows.

    Of teachers of several networks, whose mean map is broader than each, a single one's stands beside: `… one network`.

    Args:
        rows: runs of one dataset and stage.
    """
    single = rows.reindex(columns=[*rows, *({"cam_network_entropy"} - {*rows})]).dropna(subset="cam_network_entropy")
    single = single.assign(
        cam_entropy=single["cam_network_entropy"], teacher_label=single["teacher_label"] + " one network"
    )
    return gains(pd.concat([rows, single]), "cam_entropy")[["teacher_label", "seed", "cam_entropy"]]


def grid(rows: pd.DataFrame, key: str, classes: Sequence[str] | None = None, by: str = "teacher_label") -> None:
    """Show the same images under each teacher, of the first seed that kept its maps; nothing where none did.

    Args:
        rows: runs of one dataset and stage.
        key: a name for the figure, unique on its page.
        classes: names of the classes; the dataset's own by default.
        by: the column that heads the columns of the figure.
    """
    rank = rows["teacher"].map({kind: k for k, kind in enumerate(FIRST)}).fillna(len(FIRST))
    ordered = rows.assign(rank=rank).sort_values(["rank", "seed"], kind="stable").drop_duplicates(by)
    found = [(str(label), arrays_of(str(run))) for label, run in zip(ordered[by], ordered["run"], strict=True)]
    found = [(label, kept) for label, kept in found if kept]
    if not found:
        return
    first, columns = found[0][1], dict[str, NDArray[np.float64]]()
    if "pixels" in first:
        columns["class pixels"] = first["pixels"][:IMAGES].astype(np.float64)
    for label, kept in found:
        if (kept["index"][:IMAGES] == first["index"][:IMAGES]).all():
            columns[label] = kept["maps"][:IMAGES].astype(np.float64)
            if "spread" in kept:
                columns[f"{label} spread"] = 2 * kept["spread"][:IMAGES].astype(np.float64)
    where = str(rows["dataset"].iloc[0])
    names = data.classes_of(where) if classes is None else classes
    spread = any(label.endswith(" spread") for label in columns)
    page.figure(
        map_grid(pictures(first), [names[label] for label in first["labels"][:IMAGES]], columns),
        f"maps {key}",
        f"Eigen-CAM maps on {where}, of one seed (n = 1): the stronger the colour, the larger the map."
        + " Class pixels tell the image's class from the others." * ("pixels" in first)
        + " A spread is twice the standard deviation over the networks whose mean map is left of it." * spread,
        f"A grid of test images on {where}: a row an image, a column a teacher, its map in colour over the image.",
        photographs=True,
    )


def shown(done: Sequence[Run]) -> None:
    """Show the maps of runs, a column a run, for those on the first one's dataset and images."""
    frame = table(only=[run.name for run in done])
    frame = frame[frame["dataset"] == frame["dataset"].iloc[0]]
    differing = [name for name in ("architecture", "stage", "seed") if frame[name].nunique() > 1]
    labels = [" ".join([str(row["teacher"]), *(f"{n} {row[n]}" for n in differing)]) for _, row in frame.iterrows()]
    grid(frame.assign(column=labels), "run", list(done[0].record["classes"]), "column")
