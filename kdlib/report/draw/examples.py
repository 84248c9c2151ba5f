"""A figure of single images, each with the true and the estimated distribution over the classes. (No torch.)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kdlib.report.theme import WIDTH, literal, name_of, seaborn

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

MOST = 6
"""Teachers below each other in one figure; more are too small to read on a phone."""


def examples(
    pictures: Floats,
    titles: Sequence[str],
    truth: tuple[str, Floats],
    estimates: Mapping[str, Floats],
    classes: Sequence[str],
) -> Figure:
    """Draw each image beside the percentages that the truth and each teacher give to every class.

    Cells are the darker the larger the percentage; below 0.5 % they are blank. A line marks the largest of a row.

    Args:
        pictures: `(k, height, width)` in any range (dark is low), or `(k, height, width, 3)` in [0, 1].
        titles: `(k,)` what each image is an example of.
        truth: what it is called, and its probabilities `(k, classes)`.
        estimates: `(k, classes)` probabilities by teacher, one network each; at most `MOST`.
        classes: names of the classes.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    seaborn()
    shown = {truth[0]: truth[1], **dict(list(estimates.items())[:MOST])}
    each = 0.75 + 0.27 * len(shown)
    figure = Figure(figsize=(WIDTH, each * len(pictures) + 0.3), layout=ConstrainedLayoutEngine(w_pad=0.04, h_pad=0.06))
    panels = figure.subplots(len(pictures), 2, squeeze=False, width_ratios=[1, 4.2])
    limits = (float(pictures.min()), float(pictures.max()))
    for k, (left, right) in enumerate(panels):
        grey = pictures[k].ndim == 2
        left.imshow(pictures[k], **({"cmap": "gray_r", "vmin": limits[0], "vmax": limits[1]} if grey else {}))
        left.set_axis_off()
        left.set_title(literal(titles[k]), fontsize=12)
        _percentages(right, np.stack([values[k] for values in shown.values()]), list(shown), classes)
    return figure


def _percentages(axes: Axes, probs: Floats, rows: Sequence[str], classes: Sequence[str]) -> None:
    """Draw a table of percentages, a row a distribution."""
    shares = 100 * probs
    axes.imshow(shares, cmap="Greys", vmin=0, vmax=130, aspect="auto")
    for i, j in np.argwhere(shares >= 0.5):
        axes.text(j, i, f"{shares[i, j]:.0f}", ha="center", va="center", fontsize=10.5, color=_ink(shares[i, j]))
    for i, j in enumerate(shares.argmax(axis=1)):
        axes.plot([j - 0.45, j + 0.45], [i + 0.38, i + 0.38], color=_ink(shares[i, j]), linewidth=1.6)
    long = max(len(name) for name in classes) > 2
    names = [name[:4] for name in classes] if long else list(classes)
    axes.set_xticks(range(len(classes)), list(map(literal, names)), fontsize=10.5)
    axes.set_yticks(range(len(rows)), [name_of(row) for row in rows], fontsize=11)
    axes.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
    axes.grid(visible=False)
    axes.axhline(0.5, color="#222222", linewidth=1.2)


def _ink(share: float) -> str:
    return "white" if share > 65 else "black"
