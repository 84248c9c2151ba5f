"""A figure as a file: PNG for a page, SVG for the README, the same bytes on every call. (No torch.)"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from kdlib.report.theme import any_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def png(drawn: Figure, photographs: bool = False) -> bytes:
    """Return a figure as PNG, the same on every call: at twice a screen's density, in a palette unless of photographs.

    A palette of 128 colours is a third of the size of the same figure as SVG, whose text is outlines.
    """
    from PIL import Image

    buffer, small = _saved(drawn, format="png", dpi=192, metadata={"Software": None}), io.BytesIO()
    if photographs:
        return buffer.getvalue()
    Image.open(buffer).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(small, "PNG")
    return small.getvalue()


def svg(drawn: Figure) -> bytes:
    """Return a figure as SVG, the same on every call."""
    return _saved(drawn, format="svg", metadata={"Date": None, "Creator": None}).getvalue()


def _saved(drawn: Figure, **options: Any) -> io.BytesIO:
    """Save a figure, laid out once: each drawing lays out anew and moves things by a hair."""
    buffer = io.BytesIO()
    with any_script():
        if layout := drawn.get_layout_engine():
            layout.execute(drawn)
            drawn.set_layout_engine("none")
        drawn.savefig(buffer, **options)
    return buffer
