"""Figures on a page: a picture with a caption, and words for those who cannot see it. (No torch.)"""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING

from kdlib.base.errors import InputError
from kdlib.report.words import raw

if TYPE_CHECKING:
    from IPython.display import HTML
    from matplotlib.figure import Figure


def picture(figure: Figure, vector: bool = True) -> tuple[bytes, str]:
    """Return a figure as bytes, the same on every call, and their media type.

    Args:
        figure: what to draw.
        vector: SVG, sharp at any size; False for figures made of photographs, which are smaller as PNG.
    """
    if figure.get_layout_engine() is not None:
        # Each drawing lays out anew and moves things by a hair: do it once, then keep it.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    buffer = io.BytesIO()
    if vector:
        figure.savefig(buffer, format="svg", dpi=192, metadata={"Date": None, "Creator": None})
        return buffer.getvalue(), "image/svg+xml"
    figure.savefig(buffer, format="png", dpi=192, metadata={"Software": None})
    return buffer.getvalue(), "image/png"


def caption(figure: Figure, figure_id: str, text: str, alt: str, vector: bool = True) -> HTML:
    """Return a figure as a page shows it: the picture, a caption below, and a description in its place.

    The picture is inside the page, as wide as the page allows and at most as wide as it was drawn, so it
    reads the same in the book, in JupyterLab and on a phone.

    Args:
        figure: from `kdlib.report.plots`, or any other.
        figure_id: a name to link to, unique on the page.
        text: one or two sentences: what to see.
        alt: what a reader who cannot see the picture should know.
        vector: False for figures made of photographs.

    Raises:
        InputError: no caption or no description.
    """
    if not text.strip() or not alt.strip():
        raise InputError(f"the figure {figure_id!r} lacks a caption or a description; both are required.")
    data, media = picture(figure, vector)
    source = f"data:{media};base64,{base64.b64encode(data).decode()}"
    width = round(96 * figure.get_figwidth())
    # A dark page dims pictures, unless they say "dark-light", and lays a light card under every HTML output:
    # the caption must take the card's colour, not the theme's colour for captions.
    img = f"display: block; width: 100%; max-width: {width}px; height: auto; padding: 0; background: white"
    words = f"max-width: {width}px; margin: 0.5rem 0 0; color: inherit; font-weight: normal; text-align: left"
    return raw(
        f'<figure id="{html.escape(figure_id)}" style="margin: 0.5rem 0">'
        f'<img class="dark-light" src="{source}" alt="{html.escape(alt)}" style="{img}">'
        f'<figcaption style="{words}">{html.escape(text)}</figcaption></figure>'
    )
