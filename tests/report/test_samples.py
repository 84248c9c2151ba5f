"""The samples page: which students are compared, what more samples gain; and what the student's notebook says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import pytest
import small

from kdlib.base import paths
from kdlib.base.errors import InputError
from kdlib.report import samples
from kdlib.report.claims import Effect, Verdict, judge, paired, seeds_needed
from kdlib.report.plots.lines import Panel, lines
from kdlib.report.sections import Section
from kdlib.runs import notebook
from kdlib.runs.plans import plan

TRAINED: dict[str, Any] = {"architecture": "cnn8", "epochs": 10, "fraction": 1.0, "match": "steps", "framework": "kd",
                           "run_type": "student", "dataset": "digits"}  # fmt: skip


def students(teacher: str, label: str = "samples", seeds: int = 5, gain: float = 0.0, **given: Any) -> pd.DataFrame:
    """Return one student a seed; `gain` raises their accuracy."""
    rows = []
    for seed in range(seeds):
        accuracy = 0.5 + 0.01 * seed + gain * (1 + 0.1 * np.sin(seed))
        row = {**TRAINED, "teacher": teacher, "teacher_label": teacher, "label": label, "seed": seed, "samples": 1.0,
               "kd_weight": 1.0, "temperature": 1.0, "student_temperature": 1.0, "test_accuracy": accuracy,
               "val_accuracy": accuracy, "test_nll": 1 - accuracy, **given}  # fmt: skip
        rows.append({**row, "run": "-".join(map(str, row.values()))})
    return pd.DataFrame(rows)


def table(gain: float = 0.01, seeds: int = 5) -> pd.DataFrame:
    """Return a study: the student of one sample is of another entry, and so are the floor and the ceiling."""
    return pd.concat([
        students("one_hot", "floor", seeds, -0.1, kd_weight=None, temperature=None, student_temperature=None),
        students("exact_bcp", "ceiling", seeds, 0.1),
        students("variational", "distilled", seeds),
        students("variational", "distilled", seeds, 0.3, temperature=4.0),
        students("variational", "fewshot", seeds, -0.3, fraction=0.05),
        students("deterministic", "distilled", seeds, 0.2),
        *(students("variational", "samples", seeds, gain * np.log2(n), samples=float(n)) for n in (2, 4, 16)),
    ], ignore_index=True)  # fmt: skip


def test_students_of_one_teacher_that_differ_in_samples_alone() -> None:
    (sweep,) = samples.compared(table())
    assert sweep.teacher == "variational"
    assert sweep.rows.groupby("samples")["seed"].nunique().to_dict() == {1.0: 5, 2.0: 5, 4.0: 5, 16.0: 5}
    assert set(sweep.rows["temperature"]) == {1.0} and set(sweep.rows["fraction"]) == {1.0}
    assert sweep.ends.groupby("teacher").size().to_dict() == {"exact_bcp": 5, "one_hot": 5}


def test_the_gain_is_that_of_the_most_samples_over_one_in_pairs() -> None:
    frame = table(gain=0.01)
    found = samples.effects(frame)["C6"]["most samples"]
    most, one = (frame[(frame["teacher"] == "variational") & (frame["samples"] == n)].query(
        "fraction == 1 and temperature == 1")["test_accuracy"].to_numpy() for n in (16, 1))  # fmt: skip
    by_hand = paired(most, one)
    assert found is not None and (found.mean, found.low, found.n) == pytest.approx((by_hand.mean, by_hand.low, 5))
    assert found.mean == pytest.approx(0.04, abs=0.004)
    assert judge(samples.CLAIM, {"most samples": found})[0].verdict is Verdict.SUPPORTED


def test_a_pair_that_lacks_one_side_does_not_count() -> None:
    frame = table()
    left_out = (frame["samples"] == 16) & (frame["seed"] == 2)
    found = samples.effects(frame[~left_out])["C6"]["most samples"]
    assert found is not None and found.n == 4
    nothing = {"C6": {"most samples": None}}
    assert samples.effects(frame[frame["label"] != "samples"]) == nothing, "one sample alone is no sweep"
    assert samples.effects(frame[frame["samples"] != 1]) == nothing
    assert samples.effects(frame.assign(run_type="teacher")) == nothing


def test_settings_are_chosen_by_validation_for_each_number_of_samples() -> None:
    warm = pd.concat([students("variational", "samples", gain=g, samples=n, temperature=4.0, student_temperature=4.0)
                      for n, g in ((1.0, -0.2), (16.0, 0.2))])  # fmt: skip
    (sweep,) = samples.compared(pd.concat([table(), warm], ignore_index=True))
    assert sweep.rows.groupby("samples")["temperature"].first().to_dict() == {1.0: 1.0, 2.0: 1.0, 4.0: 1.0, 16.0: 4.0}
    assert not sweep.rows.duplicated(["samples", "seed"]).any()


def test_two_teachers_and_two_trainings_are_sweeps_of_their_own() -> None:
    more = pd.concat([students("variational", samples=n, epochs=20) for n in (1.0, 8.0)]
                     + [students("inducing", samples=n) for n in (1.0, 8.0)])  # fmt: skip
    found = list(samples.compared(pd.concat([table(), more], ignore_index=True)))
    assert [sweep.teacher for sweep in found] == ["variational", "variational", "inducing"]
    assert found[1].ends.empty and len(found[2].ends) == 10


@pytest.mark.parametrize("seeds", [1, 3, 5])
def test_what_the_page_shows(seeds: int) -> None:
    (sweep,) = samples.compared(table(0.001, seeds))
    figure = samples.drawn(sweep)
    accuracy, gain, nll = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "test accuracy (%)", "gain over one sample (points)", "test NLL (nats)",
    ]  # fmt: skip
    assert [text.get_text() for text in nll.get_xticklabels()] == ["1", "2", "4", "16"]
    curve = max(accuracy.get_lines(), key=lambda line: line.get_marker() == "s")
    means = sweep.rows.groupby("samples")["test_accuracy"].mean() * 100
    assert curve.get_xdata().tolist() == [1, 2, 4, 16]  # type: ignore[union-attr]
    assert curve.get_ydata().tolist() == pytest.approx(means.tolist())  # type: ignore[union-attr]
    found = samples.gain(sweep)
    curve = max(gain.get_lines(), key=lambda line: line.get_marker() == "s")
    assert found is not None
    assert (curve.get_ydata()[0], curve.get_ydata()[-1]) == pytest.approx((0, 100 * found.mean))  # type: ignore[index]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    n = f" (n = {seeds})" if seeds > 1 else ""
    assert legend == [f"one-hot{n}", f"exact BCP{n}", f"variational{n}"]
    groups = samples.grouped(sweep)["group"]
    assert list(dict.fromkeys(groups))[:2] == ["1 sample", "2 samples"] and "one_hot" in set(groups)
    line = samples.short(Section("s", "Study", "", sweep.rows), "digits, cnn8", sweep).data
    assert line.startswith("**Study** (digits, cnn8; students of variational)") and f"n = {seeds}" in line
    assert {1: "inconclusive.", 3: "inconclusive (about 5 seeds", 5: "not supported."}[seeds] in line


def test_seeds_that_would_settle_it_are_said_where_the_verdict_is_open() -> None:
    one = Effect(0.004, -0.004, 0.012, 10, 0.011, 0.3)
    said = samples.answer(samples.CLAIM, judge(samples.CLAIM, {"most samples": one})[0])
    assert said == (
        "+0.40 ± 0.80 points (n = 10), where 0.5 would matter; C6: inconclusive (about "
        f"{seeds_needed(one, 0.005)} seeds would settle it)"
    )
    assert samples.answer(samples.CLAIM, judge(samples.CLAIM, {"most samples": None})[0]) == "C6: not run"


def test_a_figure_needs_rows_and_one_run_a_seed() -> None:
    rows = students("variational")
    with pytest.raises(InputError, match="no rows"):
        lines([Panel("a", rows.iloc[:0], "test_accuracy")], "samples", "teacher_label", "samples")
    with pytest.raises(InputError, match="stands for several runs"):
        lines([Panel("a", pd.concat([rows, rows]), "test_accuracy")], "samples", "teacher_label", "samples")


@pytest.mark.parametrize(
    ("given", "count", "said"),
    [
        ({"teacher": "deterministic"}, 8, "`samples` = 8 is taken as 1 for `deterministic`: only"),
        ({"teacher": ["mcmi", "variational", "one_hot"]}, "1,4,8", "= 4, 8 is taken as 1 for `mcmi`, `one_hot`:"),
        ({"teacher": "exact_bcp"}, [2], "= 2 is taken as 1 for `exact_bcp`:"),
        ({"teacher": ["deterministic", "one_hot"]}, 1, None),
        ({"teacher": "variational"}, 8, None),
        ({"teacher": "deterministic"}, None, None),
    ],
)  # fmt: skip
def test_the_notebook_says_which_samples_were_taken_as_one(
    store: Path, given: dict[str, Any], count: Any, said: str | None
) -> None:
    configs = notebook.configs("student", {**small.GIVEN, **given, "samples": count})
    note = notebook.samples_note([plan(config) for config in configs], count)
    assert (note is None) == (said is None)
    if note is not None and said is not None:
        assert said in note.data and re.search(r"\(variational\) gives samples that differ\.$", note.data)
    assert not store.exists(), "nothing is made for it"


def test_the_note_is_what_the_student_s_notebook_shows_after_it_checked_its_parameters() -> None:
    cells = nbformat.read(paths.NOTEBOOKS / "student.ipynb", as_version=4).cells
    (check,) = [cell.source for cell in cells if "notebook.validate" in cell.source]
    assert check.splitlines()[-1] == "notebook.samples_note(plans, samples)"
