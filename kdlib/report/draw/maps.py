"""A figure of the same images under several teachers: where each one's features lie. (No torch.)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kdlib.report.theme import WIDTH, literal, seaborn, wrapped

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

MOST = 5
"""Columns of maps; more are too small to read on a phone."""


def map_grid(pictures: Floats, titles: Sequence[str], maps: Mapping[str, Floats], most: float = 1.0) -> Figure:
    """Draw each image, a row, and beside it the map of every teacher over the same image in grey.

    Args:
        pictures: `(k, height, width)` in any range (dark is low), or `(k, height, width, 3)` in [0, 1].
        titles: `(k,)` the class of each image.
        maps: `(k, height, width)` by the heading of a column, in [0, `most`]; at most `MOST`.
        most: the value that is drawn in full colour.
    """
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    seaborn()
    shown, named = dict(list(maps.items())[:MOST]), [literal(title) for title in titles]
    short = max(map(len, titles)) <= 2
    width = min(WIDTH, 1.6 * (len(shown) + 1))
    side = width / (len(shown) + 1.2)
    figure = Figure(figsize=(width, (side + (0 if short else 0.25)) * len(pictures) + 0.55), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.02, wspace=0.02, hspace=0.02)  # type: ignore[union-attr,call-arg]
    panels = figure.subplots(len(pictures), 1 + len(shown), squeeze=False)
    grey = pictures if pictures.ndim == 3 else pictures @ np.array([0.299, 0.587, 0.114])
    low, high = np.percentile(grey, [1, 99])  # a single bright pixel would set the scale
    limits = {"cmap": "gray_r" if pictures.ndim == 3 else "gray", "vmin": low, "vmax": high}
    # clear where the map is zero, so that the image stays visible under it
    colour = LinearSegmentedColormap.from_list("map", [(0.85, 0.2, 0.0, 0.0), (0.85, 0.2, 0.0, 0.85)])
    for k, (picture, *rest) in enumerate(panels):
        picture.imshow(pictures[k], **(limits if pictures.ndim == 3 else {}))
        if short:
            picture.set_ylabel(named[k], rotation=0, ha="right", va="center")
        else:
            picture.set_xlabel(named[k].replace("_", " "), fontsize=11, labelpad=2)
        for axes, (heading, values) in zip(rest, shown.items(), strict=True):
            axes.imshow(grey[k], **limits, alpha=0.6)
            axes.imshow(values[k], cmap=colour, vmin=0, vmax=most)
            if k == 0:
                axes.set_title(wrapped(heading), fontsize=12, loc="center")
        if k == 0:
            picture.set_title("image", fontsize=12, loc="center")
        for axes in (picture, *rest):
            axes.set(xticks=[], yticks=[])
            axes.grid(visible=False)
    return figure
