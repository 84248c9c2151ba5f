"""Figures: what they write (units, n), which intervals they draw, and that they look the same every time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from kdlib.base.errors import InputError
from kdlib.report import pages, plots
from kdlib.report.claims import inference
from kdlib.report.plots.style import MARKS, axis_of, marks_of, name_of

TEACHERS = ("one_hot", "deterministic", "laplace", "variational", "exact_bcp")


def runs(teachers: tuple[str, ...] = TEACHERS, seeds: int = 5) -> pd.DataFrame:
    """Return a table of runs whose accuracies rise with the order of the teachers."""
    rng = np.random.default_rng(0)
    rows = [
        {"run": f"{t}-{s}", "teacher": t, "seed": s, "test_accuracy": 0.8 + 0.01 * k + rng.normal(0, 0.003)}
        for k, t in enumerate(teachers)
        for s in range(seeds)
    ]
    return pd.DataFrame(rows)


def history(kinds: tuple[str, ...] = ("deterministic", "laplace"), seeds: int = 3) -> pd.DataFrame:
    """Return histories of 205 steps and five epochs of 41 steps."""
    step = np.arange(1, 206)
    parts = []
    for kind in kinds:
        for seed in range(seeds):
            ends = step % 41 == 0
            part = pd.DataFrame({"step": step, "epoch": (step + 40) // 41, "train_loss": 2 / step + 0.1 * seed})
            part["val_nll"] = np.where(ends, 1 / part["epoch"] + 0.1 * seed, np.nan)
            part["val_accuracy"] = np.where(ends, 1 - 0.5 / part["epoch"] - 0.01 * seed, np.nan)
            parts.append(part.assign(run=f"{kind}-{seed}", kind=kind, seed=seed, learning_rate=1e-3))
    return pd.concat(parts, ignore_index=True)


def answers(n: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Return calibrated log-probabilities of five classes with labels."""
    rng = np.random.default_rng(1)
    p = rng.dirichlet(np.full(5, 0.5), n)
    return np.log(p), np.array([rng.choice(5, p=row) for row in p])


def words(figure: Figure) -> list[str]:
    """Return every text of a figure's panels and legends."""
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    labels = [text for axes in figure.axes for text in (axes.get_xlabel(), axes.get_ylabel())]
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    legends = [text.get_text() for box in figure.legends for text in box.get_texts()]
    return [*texts, *labels, *titles, *legends]


def intervals(figure: Figure) -> list[tuple[float, float]]:
    """Return the ends of every error bar of the first panel."""
    ends = []
    for container in figure.axes[0].containers:
        segment = container[2][0].get_segments()[0]
        ends.append((float(segment[0, 0]), float(segment[1, 0])))
    return ends


def luminance(color: str) -> float:
    """Return the relative luminance of a colour (WCAG 2)."""
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.03928, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_marks_can_be_told_apart() -> None:
    assert len({mark.color for mark in MARKS.values()}) == len({m.marker for m in MARKS.values()}) == len(MARKS)
    assert len({mark.hatch for mark in MARKS.values()}) == len(MARKS)
    colors = [np.array(to_rgb(mark.color)) for mark in MARKS.values()]
    assert min(np.linalg.norm(a - b) for i, a in enumerate(colors) for b in colors[:i]) > 0.2
    for mark in MARKS.values():
        assert 1.05 / (luminance(mark.color) + 0.05) > 2.5  # against white
    grey = sorted(luminance(MARKS[k].color) ** (1 / 2.2) for k in ("deterministic", "mcmi", "variational", "ensemble"))
    assert min(np.diff(grey)) > 0.05


def test_labels_keep_the_marks_of_their_kinds() -> None:
    got = marks_of(["laplace_full", "deterministic", "laplace", "mine"])
    assert got["deterministic"] == MARKS["deterministic"] and got["laplace"] == MARKS["laplace"]
    assert len({mark.color for mark in got.values()}) == 4
    assert marks_of(["laplace_full"])["laplace_full"] == MARKS["laplace"]
    assert marks_of(["ensemble_of_2"])["ensemble_of_2"] == MARKS["ensemble"]
    light = [luminance(mark.color) for mark in marks_of([1, 2, 4, 8]).values()]
    assert light == sorted(light)


def test_names_and_units() -> None:
    assert name_of("exact_bcp") == "exact BCP" and name_of("dkd") == "DKD"
    assert name_of("fine_tuned") == "fine tuned" and name_of("ensemble_of_2") == "ensemble of 2"
    assert axis_of("test_accuracy") == ("test accuracy (%)", 100)
    assert axis_of("val_nll") == ("validation NLL (nats)", 1)
    with pytest.raises(InputError, match="unit"):
        axis_of("wall_time")


def test_dots_write_n_and_draw_t_intervals() -> None:
    frame = runs()
    figure = plots.interval_dots(frame[(frame.teacher != "laplace") | (frame.seed > 0)], "test_accuracy")
    assert [text for text in words(figure) if text.startswith("n =")] == [f"n = {n}" for n in (5, 5, 4, 5, 5)]
    assert "test accuracy (%)" in words(figure)
    effect = inference.mean_interval(100 * frame[frame.teacher == "one_hot"]["test_accuracy"].to_numpy())
    assert intervals(figure)[0] == pytest.approx((effect.low, effect.high))


def test_dots_by_group() -> None:
    frame = pd.concat([runs().assign(temperature=t) for t in (1.0, 4.0)])
    figure = plots.interval_dots(frame, "test_accuracy", group="temperature")
    assert words(figure).count("n = 5") == 2 * len(TEACHERS) and "temperature 4.0" in words(figure)
    assert plots.interval_dots(frame.assign(time=2.0), "time", group="temperature", axis="time (s)").axes
    with pytest.raises(InputError, match="several runs"):
        plots.interval_dots(frame, "test_accuracy")


def test_gains_are_paired() -> None:
    frame = runs()
    figure = plots.paired_gains(frame, smallest=0.005)
    table = inference.gains(frame)
    assert intervals(figure) == [pytest.approx((100 * r.low, 100 * r.high)) for r in table.itertuples()]
    assert words(figure).count("n = 5") == len(table) == len(TEACHERS) - 1
    assert any("(points)" in text for text in words(figure))
    with pytest.raises(InputError, match="baseline"):
        plots.paired_gains(frame, baseline="ensemble")


def test_one_seed_is_a_dot_without_an_interval() -> None:
    figure = plots.interval_dots(runs(seeds=1), "test_accuracy")
    assert not intervals(figure) and "n = 1" in words(figure)
    assert plots.training_curves(history(seeds=1)).axes


def test_students_stand_between_floor_and_ceiling() -> None:
    figure = plots.students_by_supervision(runs(TEACHERS[::-1]))
    rows = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert rows[0] == "one-hot" and rows[-1] == "exact BCP"
    assert {"floor", "ceiling"} <= set(words(figure))
    without = plots.students_by_supervision(runs(("laplace", "deterministic")))
    assert "floor" not in words(without)


def test_training_curves() -> None:
    figure = plots.training_curves(history())
    texts = words(figure)
    for text in ("training loss (nats)", "validation NLL (nats)", "validation accuracy (%)", "steps", "epochs"):
        assert text in texts
    assert "Laplace (n = 3)" in texts
    _, nll, accuracy = figure.axes
    np.testing.assert_allclose(nll.lines[0].get_ydata(), 1 / np.arange(1, 6) + 0.1)
    assert accuracy.lines[0].get_ydata()[-1] == pytest.approx(100 * (0.9 - 0.01))


def test_smoothing_keeps_the_mean() -> None:
    curve = plots.training_curves(history(("deterministic",), seeds=1)).axes[0].lines[0]
    x, y = (np.asarray(values, dtype=float) for values in curve.get_data())
    assert len(x) <= 103 and np.all(np.diff(x) > 0)
    np.testing.assert_allclose(y[0], np.mean([2 / 1, 2 / 2]))


def test_confusion_and_reliability() -> None:
    log_p, labels = answers()
    figure = plots.confusion(log_p, labels, classes=list("abcde"), omitted=(2,))
    shares = figure.axes[0].collections[0].get_array().reshape(5, 5)
    np.testing.assert_allclose(shares.sum(axis=1), 100)
    assert shares[0, 1] == pytest.approx(100 * np.mean(log_p[labels == 0].argmax(1) == 1))
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["a", "b", "→ c", "d", "e"]
    assert plots.confusion(np.tile(log_p, 20), labels).axes
    curves = plots.reliability({"deterministic": 2 * log_p, "laplace": log_p}, labels)
    assert {"accuracy (%)", "confidence (%)", "images (%)", "Laplace"} <= set(words(curves))
    assert not plots.reliability(log_p.astype(np.float16), labels).legends


def test_a_reliability_interval_is_that_of_clopper_and_pearson() -> None:
    from scipy.stats import binomtest

    p = np.log(np.tile([0.7, 0.2, 0.1], (40, 1)))
    labels = np.r_[np.zeros(25, int), np.ones(15, int)]
    segment = plots.reliability(p, labels).axes[0].collections[0].get_segments()[0]
    reference = binomtest(25, 40).proportion_ci(method="exact")
    assert segment[:, 1] == pytest.approx([100 * reference.low, 100 * reference.high])


def test_bytes_are_the_same_on_every_call_and_in_every_process(tmp_path: Path) -> None:
    frame = runs()
    frame.to_csv(tmp_path / "runs.csv", index=False)
    figure = plots.paired_gains(frame)
    for vector in (True, False):
        assert pages.picture(figure, vector) == pages.picture(figure, vector)
    code = (
        "import sys, pandas; from kdlib import plots; from kdlib.report import pages; "
        f"data, _ = pages.picture(plots.paired_gains(pandas.read_csv({str(tmp_path / 'runs.csv')!r}))); "
        "sys.stdout.buffer.write(data)"
    )
    other = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout
    assert other == pages.picture(plots.paired_gains(pd.read_csv(tmp_path / "runs.csv")))[0]
    assert b"<dc:date>" not in other


def test_a_caption_keeps_its_words() -> None:
    figure = plots.interval_dots(runs(), "test_accuracy")
    shown = pages.caption(figure, "fig-dots", "A < B & C.", 'Five "rows".').data
    assert 'id="fig-dots"' in shown and 'alt="Five &quot;rows&quot;."' in shown
    assert "<figcaption" in shown and "A &lt; B &amp; C." in shown and "data:image/svg+xml;base64," in shown
    assert "data:image/png;base64," in pages.caption(figure, "p", "a", "b", vector=False).data
    with pytest.raises(InputError, match="description"):
        pages.caption(figure, "fig", "Text.", " ")


def test_nothing_to_draw_is_said() -> None:
    with pytest.raises(InputError, match="no rows"):
        plots.interval_dots(runs().iloc[:0], "test_accuracy")
    with pytest.raises(InputError, match="no rows"):
        plots.training_curves(history().iloc[:0])


def test_more_labels_than_marks_begin_again_paler() -> None:
    labels = [*MARKS, *(f"deterministic_{k}" for k in range(14))]
    marks = marks_of(labels)
    assert len(marks) == len(labels) == len({(mark.color, mark.marker) for mark in marks.values()})
    assert all(marks[kind] == mark for kind, mark in MARKS.items())
