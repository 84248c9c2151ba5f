"""Figures: what they write (units, n), which intervals they draw, and which marks tell teachers apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from kdlib.base.errors import InputError
from kdlib.report.draw import against, dots, heat, lines, t95
from kdlib.report.inference import mean_interval
from kdlib.report.theme import MARKS, axis_of, marks_of, name_of

TEACHERS = ("one_hot", "deterministic", "laplace", "variational", "exact_bcp")


def runs(teachers: tuple[str, ...] = TEACHERS, seeds: int = 5) -> pd.DataFrame:
    """Return a table of runs whose accuracies rise with the order of the teachers."""
    rng = np.random.default_rng(0)
    return pd.DataFrame([
        {"teacher_label": t, "seed": s, "test_accuracy": 0.8 + 0.01 * k + rng.normal(0, 0.003), "gain": 0.01 * k}
        for k, t in enumerate(teachers) for s in range(seeds)
    ])  # fmt: skip


def words(figure: Figure) -> list[str]:
    """Return every text of a figure's panels and legends."""
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    labels = [text for axes in figure.axes for text in (axes.get_xlabel(), axes.get_ylabel())]
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    legends = [text.get_text() for box in figure.legends for text in [box.get_title(), *box.get_texts()]]
    return [*texts, *labels, *titles, *legends]


def luminance(color: str) -> float:
    """Return the relative luminance of a colour (WCAG 2)."""
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.03928, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_marks_can_be_told_apart() -> None:
    assert len({mark.color for mark in MARKS.values()}) == len({m.marker for m in MARKS.values()}) == len(MARKS)
    colors = [np.array(to_rgb(mark.color)) for mark in MARKS.values()]
    assert min(np.linalg.norm(a - b) for i, a in enumerate(colors) for b in colors[:i]) > 0.2
    for mark in MARKS.values():
        assert 1.05 / (luminance(mark.color) + 0.05) > 2.5  # against white
    grey = sorted(luminance(MARKS[k].color) ** (1 / 2.2) for k in ("deterministic", "mcmi", "variational", "ensemble"))
    assert min(np.diff(grey)) > 0.05


def test_labels_keep_their_marks_in_every_figure() -> None:
    some = marks_of(["laplace_full", "deterministic", "laplace", "overtrained", "overtrained_laplace"])
    assert some["deterministic"] == MARKS["deterministic"] and some["laplace"] == MARKS["laplace"]
    assert luminance(some["overtrained_laplace"].color) < luminance(some["laplace"].color)
    assert luminance(some["laplace"].color) < luminance(some["laplace_full"].color)
    assert len({(mark.color, mark.marker) for mark in some.values()}) == 5
    others = marks_of(["mcmi", "overtrained", "laplace_full", "overtrained_laplace"])
    assert all(others[label] == some[label] for label in ("overtrained", "laplace_full", "overtrained_laplace"))
    light = [luminance(mark.color) for mark in marks_of([1, 2, 4, 8]).values()]
    assert light == sorted(light)


def test_more_labels_than_marks_begin_again_paler() -> None:
    labels = [*MARKS, *(f"deterministic_{k}" for k in range(14))]
    marks = marks_of(labels)
    assert list(marks) == labels and len({(mark.color, mark.marker) for mark in marks.values()}) == len(labels)
    assert all(marks[kind] == mark for kind, mark in MARKS.items())


def test_names_and_units() -> None:
    assert name_of("exact_bcp") == "exact BCP" and name_of("dkd") == "DKD"
    assert name_of("fine_tuned") == "fine tuned" and name_of("ensemble_of_2") == "ensemble of 2"
    assert name_of("one_hot student") == "one-hot student"
    assert axis_of("test_accuracy") == ("test accuracy (%)", 100)
    assert axis_of("val_nll") == ("validation NLL (nats)", 1)
    with pytest.raises(InputError, match="unit"):
        axis_of("wall_time")


def test_intervals_are_those_of_student_s_t() -> None:
    values = pd.Series([1.0, 2.0, 4.0])
    effect = mean_interval(values)
    assert t95(values) == (effect.low, effect.high) and t95(values[:1]) == (1.0, 1.0)


def test_dots_write_n_and_draw_t_intervals() -> None:
    frame = runs()
    figure = dots(frame[(frame.teacher_label != "laplace") | (frame.seed > 0)], "test_accuracy")
    assert [text for text in words(figure) if text.startswith("n =")] == [f"n = {n}" for n in (5, 5, 4, 5, 5)]
    assert "test accuracy (%)" in words(figure)
    (axes,) = figure.axes
    effect = mean_interval(100 * frame[frame.teacher_label == "one_hot"]["test_accuracy"].to_numpy())
    bars = [one for one in axes.collections if isinstance(one, LineCollection)]
    ends = [bar.get_segments()[0] for bar in bars]
    np.testing.assert_allclose(ends[0], [[effect.low, 0], [effect.high, 0]])
    assert len(bars) == len(TEACHERS)
    assert next(tick.get_text() for tick in axes.get_yticklabels()) == "one-hot"
    assert "n = 1" in words(dots(runs(seeds=1), "test_accuracy"))
    strip = dots(frame, "gain", strip=0.005).axes[0].patches[0]
    assert (strip.get_x(), strip.get_width()) == pytest.approx((-0.5, 1.0)), "in points"  # type: ignore[attr-defined]


def test_a_seed_counts_once_and_nothing_to_draw_is_said() -> None:
    with pytest.raises(InputError, match="several runs"):
        dots(pd.concat([runs(), runs()]), "test_accuracy")
    for draw in (lambda rows: dots(rows, "test_accuracy"), lambda rows: against(rows, ["test_accuracy"], "gain")):
        with pytest.raises(InputError, match="no rows"):
            draw(runs().iloc[:0])


def test_lines_are_means_over_seeds() -> None:
    frame = pd.concat([runs(seeds=3).assign(samples=k) for k in (1, 2, 4)])
    figure = lines(frame, "samples", ["test_accuracy", "gain"], label="samples a step", base=2)
    first = figure.axes[0].lines[0]
    means = 100 * frame[frame.teacher_label == "one_hot"].groupby("samples")["test_accuracy"].mean()
    np.testing.assert_allclose(np.asarray(first.get_ydata(), float), means)
    assert {"test accuracy (%)", "gain over labels (points)", "samples a step", "n = 3 each", "Laplace"} <= set(
        words(figure)
    )
    fewer = frame[(frame.teacher_label != "laplace") | (frame.seed > 0)]
    assert "Laplace (n = 2)" in words(lines(fewer, "samples", ["gain"], base=0))


def test_bars_both_ways() -> None:
    frame = runs()
    (axes,) = against(frame, ["test_accuracy"], "gain").axes
    own = frame[frame.teacher_label == "laplace"]
    marks = [line for line in axes.lines if line.get_marker() == MARKS["laplace"].marker]
    assert float(np.asarray(marks[0].get_xdata(), float)[0]) == pytest.approx(100 * own["test_accuracy"].mean())
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("test accuracy (%)", "gain over labels (points)")


def test_the_map_shows_every_mean_and_frames_the_choice() -> None:
    means = pd.DataFrame({"T 1": [70.0, 71.26], "T 4": [72.0, np.nan]}, index=["mcmi", "laplace"])
    axes = heat(means, {"mcmi": "T 4"}, "accuracy (%)").axes[0]
    assert [text.get_text() for text in axes.texts] == ["70.0", "72.0", "71.3"]
    frames = [patch for patch in axes.patches if not patch.get_fill()]
    assert len(frames) == 2 and {round(patch.get_x()) for patch in frames} == {1}  # type: ignore[attr-defined]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["MCMI", "Laplace"]


@pytest.mark.parametrize("kind", ["deterministic", "mcmi", "unknown"])
def test_any_number_of_labels_has_marks(kind: str) -> None:
    """A study may sweep a setting of one kind: marks differ as long as there are shapes and shades, and end."""
    labels = [f"{kind}_{k}" for k in range(60)]
    marks = marks_of(labels)
    assert list(marks) == labels and len(set(marks.values())) >= 55
