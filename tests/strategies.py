"""What a fuzz draws: parameters, study files, trees of images and damages, mostly right and a little wrong."""

from __future__ import annotations

import enum
import io
import json
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from hypothesis import strategies as st
from PIL import Image

from kdlib import models
from kdlib.base.config import RunType
from kdlib.experiments.synthetic.config import Supervision
from kdlib.runs.recipes import fields
from kdlib.runs.studies import SECTIONS
from kdlib.teachers.kinds import KINDS

Strategy = st.SearchStrategy[Any]

TEXTS = (
    "", " ", "+", "a+b", "1,2", ",", "/", "a/b", "../../x", "~", "~nobody/x", "~nobody", "folder:", "folder:~nobody",
    "folder:.", "weights:", "weights:x", "weights:~nobody/a", "weights:.", "weights:x.safetensors", "x\0y", "\ud800",
    "a\nb", "x" * 300, "/" + "x" * 5000, "0003", "1e3", "0x1", "nan", "-inf", "1_0", "²", "٣", "true", "null", "{x}",
    "%s", "$(touch PWNED)", "`touch PWNED`", "folder:" + "x" * 300, "weights:" + "x" * 300 + ".safetensors",
    "x" * 300 + "/y", "x\0y/z", "quick/", "/deterministic", "cuda", "cuda:0", "cuda:99999999999999999999", "meta",
    "cpu:1", "digits:", "digits:tiny@", "digits:tiny@nan", "digits:tiny@1e999", "digits:tiny@-1", "digits:@0.1",
)  # fmt: skip
NUMBERS = (0, -1, 2**31 - 1, 2**31, 2**63, 10**400, 1e-300, 1e300, 0.5, -0.0, float("nan"), float("inf"))
SCALARS = st.none() | st.booleans() | st.sampled_from(NUMBERS) | st.sampled_from(TEXTS) | st.text(max_size=6)
ODD: Strategy = st.recursive(
    SCALARS | st.integers() | st.floats() | st.binary(max_size=3) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip
"""What no parameter expects, or hardly one."""


def joined(values: Strategy) -> Strategy:
    return st.lists(values.map(str), min_size=1, max_size=3).map("+".join)


RUN = "teacher-digits-tiny-deterministic-cnn4-s0"  # begins the name of a run of the study `studied`
REFERENCES = (*KINDS, RUN, RUN, "quick/deterministic", "digits/nobody", "teacher-", "student-", "measure-")
LIKELY: dict[str, Strategy] = {
    "dataset": st.sampled_from(("digits:tiny", "digits:tiny@0.2", "digits:small", "cifar10", "folder:images")),
    "data_root": st.sampled_from((".", "images", "~/data")),
    "device": st.sampled_from(("cpu", "cuda", "cuda:1")),
    "architecture": st.sampled_from(models.NAMES),
    "teacher_architecture": st.sampled_from(models.NAMES),
    "teacher": st.sampled_from((*REFERENCES, "one_hot", "exact_bcp")),
    "parent": st.sampled_from(REFERENCES),
    "members": joined(st.sampled_from(REFERENCES)),
    "image_size": st.sampled_from((8, 16, 32)),
    "omit_classes": joined(st.integers(0, 11)),
    "lr_decay_epochs": joined(st.integers(-1, 12)),
    "seeds": joined(st.integers(0, 2**31)),
    "supervisions": joined(st.sampled_from(tuple(Supervision))),
    "concentrations": joined(st.floats(0, 1e6)),
    "kd_weights": joined(st.floats(0, 1)),
    "mean_values": joined(st.integers(-9, 9)),
    "steps": st.sampled_from((1000, 2000, 45_000)),
    "validate_every": st.sampled_from((1, 500, 1000)),
}  # fmt: skip


def likely(run_type: RunType, name: str) -> Strategy:
    """Return values that a parameter may well take, the ends of its range among them."""
    if name in LIKELY:
        return LIKELY[name]
    field = fields(run_type)[name]
    of = field.annotation
    options = typing.get_args(of) if isinstance(of, types.UnionType) or typing.get_origin(of) is typing.Union else (of,)
    kind = next(one for one in options if one is not type(None))
    if typing.get_origin(kind) is typing.Annotated:  # a seed
        return st.integers(0, 2**31 - 1)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return st.sampled_from([str(one) for one in kind])
    if kind is bool:
        return st.booleans()
    ends: dict[str, float] = {}
    for limit in field.metadata:
        ends |= {end: getattr(limit, end) for end in ("ge", "gt", "le", "lt") if hasattr(limit, end)}
    low, high = ends.get("ge", ends.get("gt", 0)), ends.get("le", ends.get("lt", 100))
    small = min(high, 3 * low + 12)
    if kind is int:
        return st.integers(int(low), int(small)) | st.integers(int(low) - 1, int(high) + 1)
    return st.floats(low, small) | st.sampled_from((low, high))


@st.composite
def parameters(draw: Callable[[Strategy], Any], run_type: RunType) -> dict[str, Any]:
    """Draw parameters of a run type: a few likely ones, sometimes a sweep, and now and then an odd value or name."""
    names = sorted(fields(run_type))
    given = {"dataset": "digits:tiny"} if "dataset" in names else {}
    given |= {"parent": RUN} if run_type is RunType.MEASURE else {}
    for name in draw(st.lists(st.sampled_from(names), max_size=6, unique=True)):
        given[name] = draw(likely(run_type, name) | st.lists(likely(run_type, name), min_size=1, max_size=2))
    for _ in range(draw(st.sampled_from((0, 0, 1, 1, 2)))):
        given[draw(st.sampled_from((*names, *names, "temprature")) | st.text(max_size=6))] = draw(ODD)
    return given


@st.composite
def studies(draw: Callable[[Strategy], Any]) -> bytes:
    """Draw a study file: sections with entries that refer to each other, as YAML, whose bytes may be harmed."""
    labels = st.sampled_from(("plain", "other", "a.b", "T4")) | st.text(max_size=5)
    file: dict[str, Any] = {"title": "Drawn", "parameters": {"dataset": "digits:tiny", "epochs": 2}}
    for section in draw(st.lists(st.sampled_from(sorted(SECTIONS)), max_size=3, unique=True)):
        run_type = SECTIONS[section].name
        entries = draw(st.dictionaries(labels, parameters(run_type) | st.just({}), max_size=2))
        for given in entries.values():
            if "parent" in fields(run_type) or run_type is RunType.STUDENT:
                key = "teacher" if run_type is RunType.STUDENT else "parent"
                given.setdefault(key, draw(labels | st.none() | st.lists(labels, max_size=2)))
        file[section] = entries
    for key in draw(
        st.lists(st.sampled_from((*SECTIONS, "title", "role", "reports", "scratch", "about", "x")), max_size=1)
    ):
        file[key] = draw(ODD)
    try:
        text = yaml.safe_dump(file, allow_unicode=draw(st.booleans()), sort_keys=False).encode()
    except (yaml.YAMLError, ValueError):  # half letters, or a number that Python does not write out
        text = json.dumps(str(file)[:1000]).encode()
    return draw(st.just(text) | harmed(text, WORDS))


WORDS = (
    b"*a", b"&a ", b"!!python/object/apply:os.system ['touch PWNED']", b"!!binary x", b"!!set {a}", b"<<: ", b"? ",
    b"\t", b"\x00", b"\xff", b"\xef\xbb\xbf", b"2001-99-99", b"0x" + b"f" * 5000, b"1" * 5000, b"[" * 3000,
    b"{a: " * 3000, b"%YAML 9.9\n", b"---\n", b"...\n", b"|", b"'", b'"', b"#", b": ", b"- ", b"=",
    b"190:20:30", b"!!float x", b"!!int ''", b'"\\ud800"', b"!!timestamp x", b"0b", b"[a]: b\n", b"{a: b}: c\n",
    b"null: {}\n", b"1: {}\n", b"true: 1\n",
)  # fmt: skip
"""What YAML knows and few people type."""


@st.composite
def harmed(draw: Callable[[Strategy], Any], data: bytes, words: tuple[bytes, ...] = ()) -> bytes:
    """Draw what is left of bytes: cut, flipped, zeroed, repeated, or with something in between."""
    place = draw(st.integers(0, max(len(data) - 1, 0)))
    end = draw(st.integers(place, len(data)))
    ways = ["cut", "flip", "zero", "drop", "twice", "empty", "insert", "line"]
    way = draw(st.sampled_from(ways))
    if way == "cut":
        return data[:place]
    if way == "flip" and data:
        return data[:place] + bytes([data[place] ^ (1 << draw(st.integers(0, 7)))]) + data[place + 1 :]
    if way == "zero":
        return data[:place] + bytes(end - place) + data[end:]
    if way == "drop":
        return data[:place] + data[end:]
    if way == "twice":
        return data[:end] + data[place:]
    if way == "insert":
        return data[:place] + draw(st.sampled_from(words) if words else st.binary(max_size=9)) + data[place:]
    if way == "line" and words:  # in place of a value
        lines = data.split(b"\n")
        at = draw(st.integers(0, len(lines) - 1))
        lines[at] = lines[at].partition(b":")[0] + b": " + draw(st.sampled_from(words))
        return b"\n".join(lines)
    return b""


def picture(mode: str, shape: tuple[int, int], kind: str) -> bytes:
    """Return a small image as a file of a kind."""
    pixels = np.random.default_rng(shape[0]).integers(0, 256, (shape[1], shape[0], 3), dtype=np.uint8)
    stream = io.BytesIO()
    deep = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    (deep if mode == "I;16" else Image.fromarray(pixels).convert(mode)).save(stream, kind)
    return stream.getvalue()


MODES = {"PNG": ("RGB", "RGBA", "L", "LA", "P", "1", "I;16"), "JPEG": ("RGB", "L", "CMYK"), "WEBP": ("RGB", "RGBA"),
         "BMP": ("RGB", "1"), "GIF": ("P", "L"), "TIFF": ("RGB", "CMYK", "F", "I;16")}  # fmt: skip
ENDINGS = (".png", ".jpg", ".JPEG", ".webp", ".bmp", ".gif", ".tif", ".txt", ".heic", "", ".png.part")


@st.composite
def pictures(draw: Callable[[Strategy], Any]) -> bytes:
    """Draw the bytes of an image file, one in three of them harmed."""
    kind = draw(st.sampled_from(sorted(MODES)))
    side = st.integers(1, 24)
    whole = picture(draw(st.sampled_from(MODES[kind])), (draw(side), draw(side)), kind)
    return draw(st.just(whole) | st.just(whole) | harmed(whole))


CLASSES = ("0001", "C++", "a,b", "Test Tube", "é", "train", "val", ".hidden", "__MACOSX", "a\nb", "\udce9")
SPLITS = ("train", "val", "test", "Training", "testing", "valid", "seg_train", "extra", "")
ENTRIES = ("dangling", "loop", "twin", "outside", "up", "fifo", "folder", "empty")


@st.composite
def trees(draw: Callable[[Strategy], Any]) -> list[tuple[str, str, bytes]]:
    """Draw a tree as (path, what it is, bytes): in half of the cases a sound one, with up to three more entries."""
    out: list[tuple[str, str, bytes]] = []
    splits = draw(st.sampled_from((("",), ("train",), ("train", "test"), ("train", "val", "test"))))
    for split in splits:
        for label in ("ant", "bee"):
            out += [(f"{split}/{label}/{i}.png", "file", picture("RGB", (9 + i, 8), "PNG")) for i in range(4)]
    names = st.sampled_from(CLASSES) | st.text(
        st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=4
    )
    odd = st.integers(0, 4).map(lambda drawn: drawn == 0)
    for _ in range(draw(st.integers(0, 3))):
        split = draw(st.sampled_from(SPLITS if draw(odd) else splits))
        label = draw(names if draw(odd) else st.sampled_from(("ant", "bee", "bee/cee")))
        name = draw(names | st.just("9")) + draw(st.sampled_from(ENDINGS if draw(odd) else ENDINGS[:7]))
        out.append(
            (f"{split}/{label}/{name}", draw(st.sampled_from(ENTRIES)) if draw(odd) else "file", draw(pictures()))
        )
    return out


JSON: Strategy = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(TEXTS) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
WAYS = ("bytes", "bytes", "value", "value", "value", "lost", "swapped", "folder", "link", "left", "stray")


@st.composite
def damages(draw: Callable[[Strategy], Any], files: list[Path]) -> tuple[str, Path, Any]:
    """Draw one damage of a store: (way, file, what it becomes)."""
    way, file = draw(st.sampled_from(WAYS)), draw(st.sampled_from(files))
    if way == "value":
        file = draw(st.sampled_from([one for one in files if one.suffix == ".json"]))
        value = json.loads(file.read_bytes())
        place, keys = value, list(value)
        while True:
            key = draw(st.sampled_from(keys))
            inner = place[key] if isinstance(place, dict) else None
            if not isinstance(inner, dict) or not inner or draw(st.booleans()):
                break
            place, keys = inner, list(inner)
        if draw(st.integers(0, 3)) == 0:
            del place[key]
        else:
            place[key] = draw(JSON)
        return way, file, json.dumps(value).encode()
    if way == "bytes":
        return way, file, draw(harmed(file.read_bytes()))
    return way, file, draw(st.sampled_from(files))
