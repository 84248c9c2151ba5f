"""Pictures as a viewer shows them: orientation, transparency, depth; memory bounded by the result."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from kdlib.base import paths
from kdlib.base.errors import InputError
from kdlib.data.folder import picture


def shown(path: Path, size: int) -> np.ndarray:
    """Return pixels `(size, size, 3)` of an image that need not be in a folder."""
    return picture.decode(path, size).transpose(1, 2, 0)


def png(path: Path, shape: tuple[int, int], depth: int, colour: int, rows: bytes, **chunks: bytes) -> Path:
    """Write a PNG of `(width, height)` by hand: bits, colour type, packed rows and further chunks."""
    head = struct.pack(">IIBBBBB", *shape, depth, colour, 0, 0, 0)
    wide = len(rows) // shape[1]
    packed = zlib.compress(b"".join(b"\0" + rows[i : i + wide] for i in range(0, len(rows), wide)))
    parts = {"IHDR": head, **chunks, "IDAT": packed, "IEND": b""}
    whole = b"\x89PNG\r\n\x1a\n"
    for kind, content in parts.items():
        body = kind.encode() + content
        whole += struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(whole)
    return path


def former(path: Path, size: int) -> np.ndarray:
    """Return the pixels that ordinary images have always had: the whole resized, then the centre cut out."""
    with Image.open(path) as image:
        width, height = image.size
        shape = (size * width // min(width, height), size * height // min(width, height))
        resized = image.convert("RGB").resize(shape, Image.Resampling.BILINEAR)
    left, top = (shape[0] - size) // 2, (shape[1] - size) // 2
    return np.asarray(resized.crop((left, top, left + size, top + size)))


@pytest.mark.parametrize("shape", [(50, 40), (13, 13), (300, 9), (7, 120)])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "CMYK", "RGBA"])
def test_ordinary_images_keep_every_bit(tmp_path: Path, mode: str, shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    path = tmp_path / ("x.jpg" if mode == "CMYK" else "x.png")
    Image.fromarray(pixels).convert(mode).save(path)
    for size in (8, 31):
        assert np.array_equal(shown(path, size), former(path, size))
        assert not picture.examine(path, size)[1]


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_of_a_camera_is_applied(tmp_path: Path, orientation: int, suffix: str) -> None:
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:8, :8], pixels[:8, 8:], pixels[8:, :8] = (240, 0, 0), (0, 240, 0), (0, 0, 240)
    exif = Image.Exif()
    exif[picture.ORIENTATION] = orientation
    Image.fromarray(pixels).save(tmp_path / f"x.{suffix}", exif=exif, quality=100)
    with Image.open(tmp_path / f"x.{suffix}") as image:
        upright = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    found = shown(tmp_path / f"x.{suffix}", 16)
    assert np.array_equal(found, upright)
    corners = [found[y, x].argmax() if found[y, x].max() > 99 else -1 for y, x in ((2, 2), (2, 13), (13, 2), (13, 13))]
    red_green_blue_black = {1: "0123", 2: "1032", 3: "3210", 4: "2301", 5: "0213", 6: "2031", 7: "3120", 8: "1302"}
    assert [c % 4 for c in corners] == [int(c) for c in red_green_blue_black[orientation]]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_torn_exif_data_leaves_an_image_as_it_is_stored(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9), (200, 0, 0)).save(tmp_path / "x.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x99")
    assert np.array_equal(shown(tmp_path / "x.jpg", 9), former(tmp_path / "x.jpg", 9))


def test_transparency_lies_on_white(tmp_path: Path) -> None:
    """Over white, colour c of opacity a is shown as a c + (1 − a) 255."""
    alpha = np.arange(0, 256, dtype=np.uint8).reshape(16, 16)
    colour = np.full((16, 16, 3), (10, 100, 250), np.uint8)
    expected = alpha[..., None] / 255 * colour + (1 - alpha[..., None] / 255) * 255
    for suffix in ("png", "webp", "tif"):
        path = tmp_path / f"x.{suffix}"
        Image.fromarray(np.dstack([colour, alpha])).save(path, lossless=True, exact=True)
        assert np.abs(shown(path, 16) - expected).max() <= 1, suffix
        assert picture.examine(path, 16)[1]
    Image.fromarray(np.dstack([colour[..., 0], alpha])).save(tmp_path / "grey.png")
    assert np.abs(shown(tmp_path / "grey.png", 16)[..., 0] - expected[..., 0]).max() <= 1


@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_a_transparent_palette_entry_is_white(tmp_path: Path, suffix: str) -> None:
    image = Image.fromarray(np.repeat(np.uint8([[0, 1]]), 8, 0).repeat(4, 1), "P")
    image.putpalette([9, 9, 9, 200, 0, 0])
    image.save(tmp_path / f"x.{suffix}", transparency=0)
    found = shown(tmp_path / f"x.{suffix}", 8)
    assert (found[:, :4] == 255).all() and (found[:, 4:] == (200, 0, 0)).all()


@pytest.mark.parametrize(
    ("depth", "colour", "row", "key", "second"),
    [
        (4, 0, b"\xf5", b"\0\x0f", 85),  # grey 15 is transparent, grey 5 of 15 is shown
        (2, 0, b"\xd0", b"\0\x03", 85),
        (1, 0, b"\x80", b"\0\x01", 0),
        (16, 0, b"\x12\x34\x55\x55", b"\x12\x34", 85),
        (16, 2, b"\x12\x34" * 3 + b"\x55\x55" * 3, b"\x12\x34" * 3, 85),
        (8, 2, b"\x12" * 3 + b"\x55" * 3, b"\0\x12" * 3, 85),
    ],
)
def test_a_colour_that_is_declared_transparent_is_white(
    tmp_path: Path, depth: int, colour: int, row: bytes, key: bytes, second: int
) -> None:
    path = png(tmp_path / "x.png", (2, 2), depth, colour, row * 2, tRNS=key)
    found = shown(path, 2)
    assert found[:, 0].tolist() == [[255] * 3] * 2 and found[:, 1].tolist() == [[second] * 3] * 2


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_of_grey_are_scaled(tmp_path: Path, suffix: str) -> None:
    """A ramp of 65,536 levels has all 256: v becomes v / 257, rounded."""
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    Image.fromarray(ramp).save(tmp_path / f"x.{suffix}")
    found = shown(tmp_path / f"x.{suffix}", 256)
    assert np.array_equal(found[..., 0], np.floor(ramp / 257 + 0.5).astype(np.uint8))
    assert np.unique(found).size == 256 and (found == 255).mean() < 0.01


@pytest.mark.parametrize("kind", ["float", "signed"])
def test_depths_whose_white_is_unknown_are_refused(tmp_path: Path, kind: str) -> None:
    values = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    Image.fromarray(values if kind == "float" else values.astype(np.int32)).save(tmp_path / "x.tif")
    with pytest.raises(InputError, match=r"/x\.tif' is .* white is unknown"):
        picture.decode(tmp_path / "x.tif", 8)


# --- bounds -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4, 40_000), (40_000, 4)])
def test_a_strip_takes_no_more_memory_than_its_result(tmp_path: Path, shape: tuple[int, int]) -> None:
    pixels = np.zeros((shape[1], shape[0], 3), np.uint8)
    pixels[shape[1] // 2 - 2 :, shape[0] // 2 - 2 :] = (200, 100, 50)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    program = (
        "import resource, sys; from pathlib import Path; from kdlib.data.folder import picture; import PIL.Image; "
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; "
        "found = picture.decode(Path(sys.argv[1]), 512); assert (found == found[:, 256:257, 256:257]).all(); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, *found[:, 256, 256])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "x.png")],
        cwd=paths.ROOT, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    grown, *colour = map(int, done.stdout.split())
    assert colour == [200, 100, 50]
    assert grown * (1 if sys.platform == "darwin" else 1024) < 64_000_000
    assert picture.examine(tmp_path / "x.png", 512)[1]


def with_large_profile(path: Path) -> None:
    png(path, (2, 2), 8, 0, bytes(4), iCCP=b"x\0\0" + zlib.compress(bytes(2_000_000)))


def with_short_transparency(path: Path) -> None:
    png(path, (2, 2), 8, 2, bytes(12), tRNS=b"\0\1")


def with_too_many_pixels(path: Path) -> None:
    Image.new("1", (10_000, 8_100)).save(path)


def cut_off(path: Path) -> None:
    Image.effect_noise((90, 90), 50).save(path)
    path.write_bytes(path.read_bytes()[:-4000])


@pytest.mark.parametrize("make", [with_large_profile, with_short_transparency, with_too_many_pixels, cut_off])
def test_an_image_that_cannot_be_read_is_named(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "x.png")
    with pytest.raises(InputError, match=r"/x\.png' (cannot be read|has 10000 × 8100 pixels)") as caught:
        picture.examine(tmp_path / "x.png", 8)
    assert "\n" not in str(caught.value)


def test_images_shown_otherwise_than_before_have_another_fingerprint(tmp_path: Path) -> None:
    """What was kept of them has other pixels, so it is not taken for theirs."""
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    Image.new("RGBA", (8, 8), (9, 9, 9, 255)).save(tmp_path / "opaque.png")
    Image.new("RGBA", (8, 8), (9, 9, 9, 80)).save(tmp_path / "clear.png")
    Image.new("I;16", (8, 8)).save(tmp_path / "deep.png")
    marked = {path.stem for path in tmp_path.glob("*.png") if picture.examine(path, 8)[1]}
    assert marked == {"clear", "deep"}
