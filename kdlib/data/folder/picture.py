"""One picture as a viewer shows it, in pixels of one size.

The orientation that a camera noted is applied. What is transparent lies on white. 16 bits of grey become 8 by rounding
v / 257; palettes, CMYK and 1 bit become RGB; colour profiles are not applied. Of several frames the first is read.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kdlib.base.errors import InputError

if TYPE_CHECKING:
    from PIL import Image, ImageFile

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
TORN = (OSError, EOFError, SyntaxError, LookupError, TypeError, ValueError, ArithmeticError, struct.error)
"""What Pillow raises at torn EXIF data."""

MOST_PIXELS = 80_000_000
"""A larger image is refused before it is decoded: a small file can unfold to more than the memory."""

MOST_RESIZED = 16_777_216
"""Where resizing a whole strip would give more pixels than this, its centre is cut out first."""

ORIENTATION = 0x0112
GREY_8 = np.rint(np.arange(65536) / 257).astype(np.uint8)


def decode(path: Path, size: int) -> np.ndarray:
    """Return an image, uint8 `(3, size, size)`: shorter side resized, centre cut out.

    Raises: InputError for an image that is corrupt, too large, or of a format or depth that is not read.
    """
    from PIL import Image

    with _read(path) as (image, _):
        shape = _resized(image.size, size)
        if shape[0] * shape[1] > MOST_RESIZED:
            image, shape = _centre(image, min(image.size)), (size, size)
        resized = _centre(image.resize(shape, Image.Resampling.BILINEAR), size)
        return np.asarray(resized).transpose(2, 0, 1)


def examine(path: Path, size: int) -> tuple[str, bool]:
    """Return a file's SHA-256, and whether versions before this module showed other pixels of it.

    Raises: InputError as `decode`.
    """
    with _read(path) as (image, differs):
        shape = _resized(image.size, size)
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest(), differs or shape[0] * shape[1] > MOST_RESIZED


def _resized(shape: tuple[int, int], size: int) -> tuple[int, int]:
    """Return width and height once the shorter of them is `size`."""
    return size * shape[0] // min(shape), size * shape[1] // min(shape)


def _centre(image: Image.Image, size: int) -> Image.Image:
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return image.crop((left, top, left + size, top + size))


@contextmanager
def _read(path: Path) -> Iterator[tuple[Image.Image, bool]]:
    """Open an upright RGB image; say whether turning, transparency or depth made it what it is."""
    from PIL import Image, UnidentifiedImageError

    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                pixels = f"{image.width} × {image.height} pixels"
                raise InputError(f"the image {str(path)!r} has {pixels}, more than {MOST_PIXELS:,}.")
            _scale_key(image)
            image.load()
            deep = image.mode[0] in "IF"
            flat = _grey(image, path) if deep else image
            clear = flat.has_transparency_data
            if clear:
                rgba = flat.convert("RGBA")
                clear = bool(np.asarray(rgba.getchannel("A")).min() < 255)
                flat = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
            rgb = flat if flat.mode == "RGB" else flat.convert("RGB")
            turn = turns.get(_orientation(image))
            yield (rgb if turn is None else rgb.transpose(turn)), deep or clear or turn is not None
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(f"the image {str(path)!r} is none of {', '.join(FORMATS)}: convert or remove it.") from error
    except Exception as error:  # Pillow lets through whatever a decoder met: ValueError, struct.error, …
        said = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"the image {str(path)!r} cannot be read ({said}): repair or remove it.") from error


def _orientation(image: Image.Image) -> int:
    """Return how the camera was held, 1 to 8; a viewer shows an image with torn EXIF data as it is stored."""
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except TORN:
        return 1


def _scale_key(image: ImageFile.ImageFile) -> None:
    """Bring the colour that a PNG declares transparent to the 8 bits that Pillow brings its pixels to."""
    key = image.info.get("transparency")
    if image.format != "PNG" or not image.tile or isinstance(key, bytes | None):
        return
    raw = image.tile[0][3]  # as in L;4, four bits of grey
    if raw in ("L;2", "L;4"):
        image.info["transparency"] = key * (85 if raw == "L;2" else 17)
    elif raw == "RGB;16B":
        image.info["transparency"] = tuple(value >> 8 for value in key)


def _grey(image: Image.Image, path: Path) -> Image.Image:
    """Return 16 bits of grey as 8, white as white; with transparency where one grey is declared transparent."""
    from PIL import Image

    tags = getattr(image, "tag_v2", {})  # bits a sample and what 0 means, where a TIFF says so
    if not image.mode.startswith("I;16") or tags.get(258, (16,)) != (16,) or tags.get(262, 1) != 1:
        raise InputError(
            f"the image {str(path)!r} is {image.mode} in Pillow's terms, whose white is unknown: convert it to 8 bits."
        )
    values = np.asarray(image)
    grey = Image.fromarray(GREY_8[values])
    if "transparency" in image.info:
        grey.putalpha(Image.fromarray(np.where(values == image.info["transparency"], 0, 255).astype(np.uint8)))
    return grey
