"""A figure as a file: PNG for a page, SVG for the README, the same bytes on every call. (No torch.)"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from kdlib.report.theme import any_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def png(drawn: Figure, photographs: bool = False) -> bytes:
    """Return a figure as PNG, the same on every call: at twice a screen's density, in a palette unless of photographs.

    A palette of 128 colours is a third of the size of the same figure as SVG, whose text is outlines.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    drawn.set_dpi(192)
    canvas, buffer = FigureCanvasAgg(drawn), io.BytesIO()
    with any_script():
        _lay_out(drawn)
        canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    picture = Image.fromarray(pixels).convert("RGB")
    if not photographs:  # by octree: a tenth of the time of the default, median cut, and pale dots keep their hue
        picture = picture.quantize(128, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def svg(drawn: Figure) -> bytes:
    """Return a figure as SVG, the same on every call."""
    buffer = io.BytesIO()
    with any_script():
        _lay_out(drawn)
        drawn.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def _lay_out(drawn: Figure) -> None:
    """Lay a figure out once: each drawing would lay out anew and move things by a hair."""
    if layout := drawn.get_layout_engine():
        layout.execute(drawn)
        drawn.set_layout_engine("none")
