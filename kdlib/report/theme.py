"""How every figure looks: one style, one mark a kind of teacher, one axis label a measure. (No torch.)

`seaborn`, `MARKS` and `marks_of`, `name_of`, `axis_of`; then what figures share.

Figures are 7 inches wide with 13 point text, so that they can still be read at the width of a phone. Kinds
differ in lightness, marker and line, so that they can be told apart in grey. The background is white, also
on a dark page.
"""

from __future__ import annotations

import itertools
import math
import sys
import textwrap
import warnings
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from kdlib.base.errors import InputError
from kdlib.students.config import EXACT_BCP, ONE_HOT
from kdlib.students.frameworks import FRAMEWORKS
from kdlib.teachers.kind import DASH, DOT, Mark
from kdlib.teachers.kinds import KINDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 7.0
"""Inches."""

FONT = "DejaVu Sans"
OTHER_FONTS = ("Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Micro Hei", "Hiragino Sans", "PingFang SC",
               "Microsoft YaHei", "Noto Sans Arabic", "Noto Sans Devanagari")  # fmt: skip
"""For classes that are called in other scripts, whichever the system has."""

MARKS: dict[str, Mark] = {
    ONE_HOT: Mark("#858585", "v", DOT, ".."),
    EXACT_BCP: Mark("#000000", "^", DASH, ""),
    **{kind.name: kind.mark for kind in KINDS.values()},
}
"""Every kind of teacher and the two supervisions without one; the same in every figure of the book."""
SHAPES = ("o", "s", "D", "^", "v", "P", "X", "<", ">", "*")
OTHERS = (Mark("#e377a2", "h", DASH, ""), Mark("#6b6b6b", "p", DOT, ".."), Mark("#2f7f93", "H", DASH, "xx"),
          Mark("#a0522d", "d", DOT, "//"))  # fmt: skip
"""Marks of labels that name no kind."""

_MEASURES: dict[str, tuple[str, float]] = {
    "accuracy": ("accuracy (%)", 100),
    "top5": ("top-5 accuracy (%)", 100),
    "nll": ("NLL (nats)", 1),
    "loss": ("loss (nats)", 1),
    "nll_above": ("NLL above the Bayes classifier's (nats)", 1),
    "brier": ("Brier score (0 to 2)", 1),
    "ece": ("calibration error (%)", 100),
    "adaptive_ece": ("calibration error, equal-mass bins (%)", 100),
    "cmi": ("CMI (nats)", 1),
    "teacher_cmi": ("CMI of teachers on test images (nats)", 1),
    "student_accuracy": ("test accuracy of their students (%)", 100),
    "entropy": ("entropy (nats)", 1),
    "kl_to_bcp": ("KL(BCP ‖ network) (nats)", 1),
    "tv_to_bcp": ("total variation to the BCP (%)", 100),
    "mse_to_bcp": ("squared distance to the BCP", 1),
    "l2_to_bcp": ("L2 distance to the BCP", 1),
    "accuracy_lost": ("accuracy below the Bayes classifier's (points)", 100),
    "gradient_variance": ("variance of the gradient", 1),
    "label_variance": ("variance of the gradient that the targets' noise adds", 1),
    "distance": ("squared distance to the optimum", 1),
    "distance_bound": ("its upper bound", 1),
    "lineage_times": ("training with parents (times the deterministic teacher's)", 1),
    "prediction_times": ("prediction of an image (times the deterministic teacher's)", 1),
    "training_seconds": ("training (s)", 1),
    "lineage_seconds": ("training with parents (s)", 1),
    "prediction_seconds_per_image": ("prediction of an image (µs)", 1e6),
    "samples_used": ("samples", 1),
    "numbers_kept": ("numbers kept (thousands)", 1e-3),
    "peak_memory_bytes": ("peak memory (MiB)", 2**-20),
    "agreement": ("agreement with the teacher (%)", 100),
    "kl_to_teacher": ("KL(teacher ‖ student) (nats)", 1),
    "omitted_accuracy": ("accuracy on the omitted classes (%)", 100),
    "kept_accuracy": ("accuracy on the kept classes (%)", 100),
    "convergence_noise": ("convergence noise (points)", 100),
    "cam_entropy": ("entropy of the map (nats)", 1),
    "cam_network_entropy": ("entropy of a single network's map (nats)", 1),
    "cam_area": ("area of the map (%)", 100),
    "cam_variation": ("variation within a class (%)", 100),
    "cam_spread": ("spread over networks (%)", 100),
    "cam_overlap": ("overlap with the class's pixels (%)", 100),
    "cam_overlap_chance": ("overlap by chance (%)", 100),
    "gain": ("gain over labels (points)", 100),
    "gain_over_deterministic": ("gain over the deterministic teacher's students (points)", 100),
    "gain_over_fewest": ("gain over the fewest samples (points)", 100),
}
_NAMES = {
    ONE_HOT: "one-hot",
    **{kind.name: kind.title for kind in KINDS.values()},
    **{framework.name: framework.title for framework in FRAMEWORKS.values()},
}
_WORDS = {"bcp": "BCP", **{kind.name: kind.title for kind in KINDS.values()}}
_SPLITS = {"train": "training", "val": "validation", "test": "test"}


@cache
def seaborn() -> Any:
    """Return seaborn, with its and matplotlib's defaults set for every figure that follows."""
    with _without("scipy.stats"):
        import seaborn as library
    from matplotlib.font_manager import fontManager

    there = {font.name for font in fontManager.ttflist}
    library.set_theme(
        context="notebook",
        style="whitegrid",
        rc={
            "font.family": [FONT, *(name for name in OTHER_FONTS if name in there)],
            "font.size": 13,
            "axes.labelsize": 13,
            "axes.titlesize": 13,
            "axes.titlelocation": "left",
            "xtick.labelsize": 12,
            "ytick.labelsize": 12,
            "legend.fontsize": 12,
            "legend.frameon": False,
            "legend.handlelength": 2.6,
            "lines.linewidth": 2.0,
            "lines.markersize": 7,
            "axes.edgecolor": "#444444",
            "axes.linewidth": 0.9,
            "grid.color": "#dddddd",
            "axes.axisbelow": True,
            "figure.facecolor": "white",
            "savefig.facecolor": "white",
            "svg.hashsalt": "kdlib",  # else the ids in the file differ from one run to the next
            "svg.fonttype": "path",
        },
    )
    return library


@contextmanager
def _without(module: str) -> Iterator[None]:
    """Import what does as well without a module as if it were not installed, unless it is imported already.

    SciPy's statistics, which seaborn asks for to estimate densities, take half a second of every page; so whoever
    draws has seaborn from here.
    """
    if module not in sys.modules:
        sys.modules[module] = None  # type: ignore[assignment]
        try:
            yield
        finally:
            del sys.modules[module]
    else:
        yield


def name_of(label: object) -> str:
    """Return a label as readers see it: `exact_bcp` is "exact BCP", `one_hot` "one-hot"."""
    first, _, rest = str(label).partition(" ")
    if first in _NAMES:
        return f"{_NAMES[first]} {rest}".strip()
    return " ".join(_WORDS.get(word, word) for word in str(label).replace("_", " ").split(" "))


def axis_of(column: str) -> tuple[str, float]:
    """Return the axis label of a measure, with its unit, and the factor from the stored value to it.

    Args:
        column: a measure, with or without `val_`, `test_` or `train_` before it.

    Raises:
        InputError: a column that is no measure, so that its unit is unknown.
    """
    split, _, rest = column.partition("_")
    measure = rest if split in _SPLITS else column
    if measure not in _MEASURES:
        raise InputError(f"value = {column!r} has no known unit; give axis, a label with the unit in brackets.")
    label, factor = _MEASURES[measure]
    return (f"{_SPLITS[split]} {label}" if split in _SPLITS else label), factor


def marks_of(labels: Iterable[object]) -> dict[str, Mark]:
    """Return a mark for each label, all different, and the same in every figure wherever that leaves them different.

    A kind has its own; a label that begins with a kind (`variational T 4`) has the kind's, paler, one that ends with it
    (`overtrained_laplace`) the kind's, darker; other labels have one of `OTHERS`. Where no label has to do with a kind
    (temperatures, fractions), colours go from dark to light in order.
    """
    wanted = {label: _mark_of(label) for label in map(str, labels)}
    if not any(wanted.values()):
        return _ordered(list(wanted))
    given: dict[str, Mark] = {}
    for label in sorted(wanted, key=lambda label: (label not in MARKS, label)):
        own = wanted[label] or OTHERS[zlib.crc32(label.encode()) % len(OTHERS)]
        # more labels of a kind than shapes begin them again, paler; beyond some eighty two look alike
        paler = itertools.accumulate(range(7), lambda mark, _: mixed(mark, 255), initial=own)
        tried = (replace(mark, marker=shape) for mark in paler for shape in (mark.marker, *SHAPES))
        given[label] = next((mark for mark in tried if mark not in given.values()), own)
    return {label: given[label] for label in wanted}


def _mark_of(label: str) -> Mark | None:
    """Return the mark of the kind that a label is, begins or ends with; None where it has to do with none."""
    if label in MARKS:
        return MARKS[label]
    for kind in sorted(MARKS, key=len, reverse=True):
        if label.startswith(kind):
            return mixed(MARKS[kind], 255)
        if label.endswith(kind):
            return mixed(MARKS[kind], 0)
    return None


def mixed(mark: Mark, other: int) -> Mark:
    """Return a mark whose colour is mixed half with white (255) or black (0)."""
    parts = (int(mark.color[i : i + 2], 16) for i in (1, 3, 5))
    return replace(mark, color="#" + "".join(f"{round((part + other) / 2):02x}" for part in parts))


def _ordered(labels: Sequence[str]) -> dict[str, Mark]:
    """Return marks in order, dark to light, for labels that are no kinds."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    shapes = list(MARKS.values())[2:]
    shades = [to_hex(colormaps["magma"](0.72 * k / max(1, len(labels) - 1))) for k in range(len(labels))]
    return {
        label: replace(shapes[k % len(shapes)], color=shade)
        for k, (label, shade) in enumerate(zip(labels, shades, strict=True))
    }


def canvas(height: float, rows: int = 1, **options: Any) -> tuple[Figure, Sequence[Axes]]:
    """Return a figure of the book's width, which no notebook draws twice, and its panels."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    seaborn()
    figure = Figure(figsize=(WIDTH, height), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08))
    return figure, list(figure.subplots(rows, 1, squeeze=False, **options)[:, 0])


def literal(name: object) -> str:
    """Return a class's name as matplotlib shows it: a dollar begins no formula, as it does in ticks of logarithms."""
    return str(name).replace("$", r"\$")


@contextmanager
def any_script() -> Iterator[None]:
    """Draw without a warning of letters that no font here has, as in a class's name: a page would show it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield


def wrapped(label: object) -> str:
    """Return a row's label on several lines if it is long, to leave the figure its width."""
    words = name_of(label)
    head, _, rest = words.partition(" ")
    return words if len(words) <= 14 else "\n".join([head, *textwrap.wrap(rest, 26)])


def legend(figure: Figure, marks: Mapping[str, Mark], counts: Mapping[Any, int] | None = None) -> None:
    """Put a legend below the panels, in columns that fit, and make room for it; n stands once where it is the same.

    Args:
        figure: whose panels are drawn.
        marks: by label.
        counts: seeds, by label; none where the panels say it.
    """
    from matplotlib.lines import Line2D

    different = sorted(set((counts or {}).values()))
    texts = [name_of(label) + (f" (n = {counts[label]})" if counts and different[1:] else "") for label in marks]
    longest = max(map(len, texts))
    handles = [Line2D([], [], color=mark.color, marker=mark.marker, linestyle=mark.line, label=text)
               for text, mark in zip(texts, marks.values(), strict=True)]  # fmt: skip
    columns = min(len(handles), 3 if longest <= 17 else 2 if longest <= 31 else 1)
    title = f"n = {different[0]} each" if len(different) == 1 else None
    figure.set_figheight(figure.get_figheight() + 0.25 * (math.ceil(len(handles) / columns) + bool(title)))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, title=title, columnspacing=1.2)
