"""The zero-shot page: which students are compared, what C12 is measured by, and what is shown."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

from kdlib.base.errors import InputError
from kdlib.report import zeroshot
from kdlib.report.claims import Verdict, judge, mean_interval
from kdlib.report.plots.zeroshot import by_omitted, confusion_grid, omitted_rows
from kdlib.report.sections import Section
from kdlib.report.zeroshot import BASELINE, FLOOR, KEPT, OMITTED, STRICT, TREATED

SETS = ("", "3", "3+5")
GAINS = {FLOOR: 0.0, BASELINE: 0.02, TREATED: 0.22, "early_stopped": 0.5}


def students(seeds: int = 5, sets: tuple[str, ...] = SETS, gains: Mapping[str, float] = GAINS) -> pd.DataFrame:
    """Return students at T = 1 and 4: accuracy on omitted classes is `gains` at T = 1, and 0.1 more at 4.

    All validation images prefer T = 4, those of the kept classes T = 1 for the early-stopped teacher.
    """
    rows = []
    for teacher, gain in gains.items():
        for omitted in sets:
            for warm in (np.nan,) if teacher == FLOOR else (1.0, 4.0):
                for seed in range(seeds):
                    hot = warm == 4
                    given = {
                        "run_type": "student", "label": "zeroshot" if omitted else "distilled", "teacher": teacher,
                        "teacher_label": teacher, "seed": seed, "omit_classes": omitted, "framework": "kd",
                        "kd_weight": np.nan if teacher == FLOOR else 1.0, "temperature": warm,
                        "student_temperature": warm, "architecture": "cnn4", "fraction": 1.0, "dataset": "digits:tiny",
                        "val_accuracy": 0.6 + 0.1 * hot + 0.01 * seed, "test_accuracy": 0.7 + 0.01 * seed,
                        STRICT: 0.8 + 0.05 * hot * (1 if teacher != "early_stopped" else -1),
                        OMITTED: gain * (1 + 0.01 * seed) + 0.1 * hot, KEPT: 0.8 + 0.001 * seed,
                        "source": "record", "run": f"{teacher}-{omitted}-{warm}-{seed}",
                    }  # fmt: skip
                    rows.append(given | ({} if omitted else {OMITTED: np.nan, KEPT: np.nan, STRICT: np.nan}))
    return pd.DataFrame(rows)


def words(shown: object) -> str:
    """Return a table or sentence without its tags."""
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", str(getattr(shown, "data", shown))))


def test_students_of_one_training_are_compared_and_those_of_all_classes_stand_beside() -> None:
    frame = students()
    others = [
        frame.assign(framework="crd"),
        frame[frame["omit_classes"] == ""].assign(kd_weight=0.5),  # the grid of another page
        frame.assign(run_type="teacher"),
    ]
    (rows,) = zeroshot.compared(pd.concat([frame, *others], ignore_index=True))
    assert len(rows) == len(frame)
    assert rows["omitted"].value_counts().to_dict() == {0: 35, 1: 35, 2: 35}
    assert list(dict.fromkeys(rows["teacher"])) == [FLOOR, BASELINE, TREATED, "early_stopped"]
    none = rows[rows["omitted"] == 0]
    assert (none[KEPT] == none["test_accuracy"]).all() and none[OMITTED].isna().all()
    assert set(rows["setting"]) == {"", "T = S = 1", "T = S = 4"}
    longer = frame.assign(fraction=0.5)
    assert [set(part["fraction"]) for part in zeroshot.compared(pd.concat([frame, longer]))] == [{1.0}, {0.5}]
    assert list(zeroshot.compared(frame[frame["omit_classes"] == ""])) == []
    assert list(zeroshot.compared(frame.drop(columns=OMITTED))) == []


def test_settings_name_what_differs() -> None:
    mixed = students(1).assign(student_temperature=1.0)
    (rows,) = zeroshot.compared(pd.concat([mixed, mixed.assign(kd_weight=0.5)]))
    assert {"T = 4, S = 1, α = 1", "T = S = 1, α = 0.5"} <= set(rows["setting"])


def test_the_effect_is_paired_at_the_temperature_that_validation_chooses() -> None:
    frame = students()
    cold = frame["teacher"].eq(BASELINE) & frame["temperature"].eq(4)
    frame.loc[cold, "val_accuracy"] -= 0.2  # the deterministic teacher stays at T = 1, MCMI takes 4
    (rows,) = zeroshot.compared(frame)
    one = frame[frame["omit_classes"] == "3"]
    mcmi = one[one["teacher"].eq(TREATED) & one["temperature"].eq(4)].set_index("seed")[OMITTED]
    plain = one[one["teacher"].eq(BASELINE) & one["temperature"].eq(1)].set_index("seed")[OMITTED]
    found = zeroshot.effects(frame)["C12"]["mcmi"]
    assert found == mean_interval(mcmi - plain) == zeroshot.difference(rows, TREATED)
    assert found is not None and found.mean == pytest.approx(0.1 + 0.2 * 1.02)
    assert judge(zeroshot.CLAIM, {"mcmi": found})[0].verdict is Verdict.SUPPORTED
    strict = zeroshot.difference(rows, "early_stopped", STRICT)
    loose = zeroshot.difference(rows, "early_stopped")
    assert strict is not None and loose is not None
    assert (strict.mean, loose.mean) == pytest.approx((0.48 * 1.02 - 0.1, 0.48 * 1.02 + 0.1))
    assert zeroshot.changed(rows) == (
        "Choosing on the kept classes only changes the choice (deterministic: T = S = 4 in place of T = S = 1; "
        "early stopped: T = S = 1 in place of T = S = 4)."
    )


def test_seeds_count_once_where_several_classes_are_left_out_in_turn() -> None:
    frame = students(5, ("3", "5", "3+5"))
    frame.loc[frame["omit_classes"].eq("5") & frame["teacher"].eq(TREATED), OMITTED] += 0.1
    found = zeroshot.effects(frame)["C12"]["mcmi"]
    assert found is not None and found.n == 5
    assert found.mean == pytest.approx(0.2 * 1.02 + 0.05)


def test_nothing_was_run() -> None:
    alone = students(gains={FLOOR: 0.0, BASELINE: 0.1})
    for frame in (alone, alone.iloc[:0], pd.DataFrame(columns=["run"]), students(5, ("3+5",)), students(5, ("",))):
        assert zeroshot.effects(frame) == {"C12": {"mcmi": None}}
    (rows,) = zeroshot.compared(alone)
    assert "no pair" in words(zeroshot.verdict(rows)) and "not run" in words(zeroshot.verdict(rows))
    assert zeroshot.by_number(rows) is None
    (labels,) = zeroshot.compared(students(gains={FLOOR: 0.0}))
    assert set(zeroshot.in_panels(labels)["setting"]) == {"labels alone"}


@pytest.mark.parametrize("seeds", [1, 3, 5])
def test_what_the_page_says(seeds: int) -> None:
    (rows,) = zeroshot.compared(students(seeds))
    line = words(zeroshot.short(Section("s", "Study", "", rows), "digits, cnn4", rows))
    mean = 20 * (1 + 0.01 * (seeds - 1) / 2)
    assert f"difference +{mean:.1f}" in line and f"(n = {seeds})" in line and "one-hot 0.0" in line
    assert ("**inconclusive**" if seeds < 5 else "**supported**") in line
    table = words(zeroshot.choices(rows))
    assert "early stopped T = S = 4" in table and "T = S = 1 5" in table and "MCMI" in table
    sets = zeroshot.by_number(rows)
    assert sets is not None and words(sets).count(f"+{mean:.1f}") == 4  # two sets, two temperatures


def test_labels_alone_stand_in_every_panel() -> None:
    (rows,) = zeroshot.compared(students())
    panels = zeroshot.in_panels(rows)
    assert list(dict.fromkeys(panels["setting"])) == ["T = S = 1", "T = S = 4"]
    assert (panels[panels["teacher"] == FLOOR]["setting"].value_counts() == 15).all()
    figure = by_omitted(panels, [OMITTED, KEPT])
    cold, warm, *_ = figure.axes
    assert [axes.get_title(loc="left") for axes in (cold, warm)] == ["T = S = 1", "T = S = 4"]
    assert len(figure.axes) == 4 and all(len(axes.lines) == len(GAINS) for axes in figure.axes)
    expected = [100 * (GAINS[TREATED] * 1.02 + 0.1)] * 2
    assert any(line.get_ydata() == pytest.approx(expected) for line in warm.lines)
    assert cold.get_ylim()[0] >= -3
    assert figure.legends[0].get_texts()[0].get_text() == "one-hot (n = 5)"
    with pytest.raises(InputError, match="no rows"):
        by_omitted(panels.iloc[:0], [OMITTED])


def test_matrices_mark_the_omitted_class() -> None:
    shares = np.eye(10) * 100
    figure = confusion_grid([[("one-hot", shares), None], [("MCMI, T = 1", shares)]], list("0123456789"), [3])
    shown = [axes for axes in figure.axes if axes.get_visible() and axes.images]
    assert [axes.get_title(loc="left") for axes in shown] == ["one-hot", "MCMI\nT = 1"]
    assert all(len(axes.patches) == 1 for axes in shown)
    assert shown[0].get_yticklabels()[3].get_text() == "→ 3"
    row = omitted_rows({"one_hot": shares[4], "MCMI, T = 1": shares[3]}, list("0123456789"), 3)
    (axes,) = row.axes
    assert [text.get_text() for text in axes.texts] == ["100", "100"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["one-hot", "MCMI, T = 1"]
    many = [f"class_{k}" for k in range(100)]
    assert confusion_grid([[("one-hot", np.eye(100))]], many, [33]).axes
    assert not omitted_rows({"one_hot": np.ones(100)}, many, 33).axes[0].texts
    with pytest.raises(InputError, match="no rows"):
        confusion_grid([[None]], many, [0])
    with pytest.raises(InputError, match="no rows"):
        omitted_rows({}, many, 0)


def test_without_runs_or_records_there_are_no_pictures() -> None:
    (rows,) = zeroshot.compared(students(1))
    assert zeroshot.pictures(rows) is None
    assert zeroshot.pictures(rows[rows["omitted"] != 1]) is None
