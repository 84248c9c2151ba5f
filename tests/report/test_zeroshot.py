"""The zero-shot page: which students are compared, what C12 is measured by, and what is shown."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

from kdlib.report.claims import c12
from kdlib.report.claims.c12 import BASELINE, FLOOR, KEPT, OMITTED, STRICT, TREATED
from kdlib.report.claims.rules import Verdict, judge
from kdlib.report.inference import mean_interval

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


def test_students_of_one_training_are_compared_and_those_of_all_classes_stand_beside() -> None:
    frame = students()
    others = [
        frame.assign(framework="crd"),
        frame[frame["omit_classes"] == ""].assign(kd_weight=0.5),  # the grid of another page
        frame.assign(run_type="teacher"),
    ]
    (rows,) = c12.compared(pd.concat([frame, *others], ignore_index=True))
    assert len(rows) == len(frame)
    assert rows["omitted"].value_counts().to_dict() == {0: 35, 1: 35, 2: 35}
    assert list(dict.fromkeys(rows["teacher"])) == [FLOOR, BASELINE, TREATED, "early_stopped"]
    none = rows[rows["omitted"] == 0]
    assert (none[KEPT] == none["test_accuracy"]).all() and none[OMITTED].isna().all()
    longer = frame.assign(fraction=0.5)
    assert [set(part["fraction"]) for part in c12.compared(pd.concat([frame, longer]))] == [{1.0}, {0.5}]
    assert list(c12.compared(frame[frame["omit_classes"] == ""])) == []
    assert list(c12.compared(frame.drop(columns=OMITTED))) == []


def test_the_effect_is_paired_at_the_temperature_that_validation_chooses() -> None:
    frame = students()
    cold = frame["teacher"].eq(BASELINE) & frame["temperature"].eq(4)
    frame.loc[cold, "val_accuracy"] -= 0.2  # the deterministic teacher stays at T = 1, MCMI takes 4
    (rows,) = c12.compared(frame)
    one = frame[frame["omit_classes"] == "3"]
    mcmi = one[one["teacher"].eq(TREATED) & one["temperature"].eq(4)].set_index("seed")[OMITTED]
    plain = one[one["teacher"].eq(BASELINE) & one["temperature"].eq(1)].set_index("seed")[OMITTED]
    found = c12.effects(frame)[TREATED]
    assert found == mean_interval(mcmi - plain) == c12.difference(rows, TREATED)
    assert found is not None and found.mean == pytest.approx(0.1 + 0.2 * 1.02)
    assert judge(c12.CLAIM, {TREATED: found})[0].verdict is Verdict.SUPPORTED
    strict = c12.difference(rows, "early_stopped", STRICT)
    loose = c12.difference(rows, "early_stopped")
    assert strict is not None and loose is not None
    assert (strict.mean, loose.mean) == pytest.approx((0.48 * 1.02 - 0.1, 0.48 * 1.02 + 0.1))
    chosen = [c12.without_one(rows, value).groupby("teacher_label")["temperature"].first().dropna().to_dict()
              for value in ("val_accuracy", STRICT)]  # fmt: skip
    assert chosen == [{BASELINE: 1, TREATED: 4, "early_stopped": 4}, {BASELINE: 4, TREATED: 4, "early_stopped": 1}]
    assert c12.note(frame, "digits:tiny").startswith(
        "With T chosen on validation images of the kept classes alone: +20.40"
    )


def test_seeds_count_once_where_several_classes_are_left_out_in_turn() -> None:
    frame = students(5, ("3", "5", "3+5"))
    frame.loc[frame["omit_classes"].eq("5") & frame["teacher"].eq(TREATED), OMITTED] += 0.1
    found = c12.effects(frame)[TREATED]
    assert found is not None and found.n == 5
    assert found.mean == pytest.approx(0.2 * 1.02 + 0.05)


def test_nothing_was_run() -> None:
    alone = students(gains={FLOOR: 0.0, BASELINE: 0.1})
    for frame in (alone, alone.iloc[:0], pd.DataFrame(columns=["run"]), students(5, ("3+5",)), students(5, ("",))):
        assert c12.effects(frame) == {TREATED: None}
        assert c12.note(frame, "digits:tiny") == ""
    assert judge(c12.CLAIM, c12.effects(alone))[0].verdict is Verdict.NOT_RUN
    (labels,) = c12.compared(students(gains={FLOOR: 0.0}))
    assert len(c12.without_one(labels)) == 5
