"""The page on people's answers: distances of teachers, students of nearer teachers, students that learn from people."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from kdlib.report import goes_with, humans, page
from kdlib.report.draw import against, dots
from kdlib.report.humans import ANSWERS, ASKED, DISTANCE, FLOOR, PEOPLE, PHOTOS
from kdlib.report.inference import paired

FAR = {"deterministic": 0.9, "variational": 0.7, "mse": 0.8, "inducing": 1.0}


def teachers(seeds: int = 5, dataset: str = PHOTOS) -> pd.DataFrame:
    """Return teachers of known distance to people, trained apart."""
    rows = [
        {"run": f"teacher-{kind}-{seed}", "run_type": "teacher", "dataset": dataset, "architecture": "resnet8",
         "teacher": kind, "teacher_label": kind, "seed": seed, DISTANCE: far + 0.01 * seed, "test_nll": 1.0,
         "test_accuracy": 0.6}
        for kind, far in FAR.items() for seed in range(seeds)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def students(seeds: int = 5, dataset: str = PHOTOS, gain: float = -0.1) -> pd.DataFrame:
    """Return students at two temperatures, T = 4 better on validation images; accuracy follows the teacher's distance.

    On `cifar10h` they learn from labels, people or the deterministic teacher.
    """
    kinds = [FLOOR, *FAR] if dataset == PHOTOS else [ANSWERS, "deterministic", FLOOR]
    rows = []
    for kind in kinds:
        for warm in (np.nan,) if kind == FLOOR else (1.0, 4.0):
            for seed in range(seeds):
                far = {FLOOR: 1.2, ANSWERS: 0.3}.get(kind) or FAR[kind]
                accuracy = 0.6 + gain * far + 0.01 * seed + 0.001 * (seed % 2) * (kind == "deterministic")
                rows.append({
                    "run": f"{dataset}-{kind}-{warm}-{seed}", "run_type": "student", "dataset": dataset,
                    "architecture": "resnet8", "teacher": kind, "teacher_label": kind, "seed": seed, "framework": "kd",
                    "label": "floor" if kind == FLOOR else "distilled", "samples": 1, "epochs": 12, "fraction": 0.1,
                    "kd_weight": 1.0, "omit_classes": "", "temperature": warm, "student_temperature": warm,
                    "val_accuracy": 0.5 + 0.1 * (warm == 4), "test_accuracy": accuracy - 0.3 * (warm == 1),
                    DISTANCE: 0.5 + far,
                })  # fmt: skip
    return pd.DataFrame(rows)


def test_teachers_are_those_whose_distance_to_people_is_known_the_nearest_first() -> None:
    frame = pd.concat(
        [teachers(), teachers(dataset="digits"), teachers().assign(**{DISTANCE: math.nan})], ignore_index=True
    )
    rows = humans.teachers(frame)
    assert (len(rows), set(rows["dataset"])) == (20, {PHOTOS})
    assert list(dict.fromkeys(rows["group"])) == ["variational", "mse", "deterministic", "inducing"]
    assert humans.teachers(frame.drop(columns=DISTANCE)).empty and humans.teachers(frame.iloc[:0]).empty
    two = humans.teachers(pd.concat([teachers(), teachers().assign(architecture="resnet20")], ignore_index=True))
    assert two.groupby("group")["architecture"].nunique().eq(1).all() and two["group"].nunique() == 8
    said = page.best(rows, DISTANCE, by="group")
    assert said.startswith("**Variational") and "0.720" in said and "deterministic 0.920" in said and "n = 5" in said


@pytest.mark.parametrize(("gain", "sign"), [(-0.1, -1), (0.2, 1)])
def test_students_stand_beside_their_own_teacher_at_the_setting_that_validation_chooses(gain: float, sign: int) -> None:
    frame = pd.concat([teachers(), students(gain=gain)], ignore_index=True)
    rows = goes_with.teachers_and_gains(frame)
    assert len(rows) == 20 and set(rows["teacher_label"]) == set(FAR)
    one = rows[(rows["teacher_label"] == "mse") & (rows["seed"] == 3)].iloc[0]
    assert one[DISTANCE] == pytest.approx(0.83) and one["gain"] == pytest.approx(gain * (0.8 - 1.2))
    found = goes_with.within_seeds(rows)
    assert found is not None and found.n == 5 and found.mean == pytest.approx(sign)
    assert goes_with.within_seeds(rows[rows["teacher_label"] != "mse"]) is None, "three teachers are too few"
    assert goes_with.teachers_and_gains(frame.drop(columns=DISTANCE)).empty
    mark = against(rows, [DISTANCE], "gain").axes[0]
    drawn = [np.array(line.get_xydata()) for line in mark.lines if line.get_marker() not in ("None", "")]
    for far, gained in rows.groupby("teacher_label")[[DISTANCE, "gain"]].mean().to_numpy():
        assert any(np.allclose(points, [(far, 100 * gained)]) for points in drawn)


@pytest.mark.parametrize("seeds", [1, 2, 5])
def test_what_students_of_people_gain(seeds: int) -> None:
    other = students(seeds, ASKED).assign(epochs=3, test_accuracy=0.9)
    frame = pd.concat([students(seeds, ASKED), students(seeds), other[other["teacher"] == FLOOR]])
    rows = humans.students(frame)
    assert list(dict.fromkeys(rows["teacher_label"])) == [FLOOR, "deterministic", PEOPLE]
    assert set(rows["temperature"].dropna()) == {4.0} and set(rows["epochs"]) == {12} and len(rows) == 3 * seeds
    by = {kind: part.sort_values("seed")["test_accuracy"].to_numpy() for kind, part in rows.groupby("teacher")}
    found = humans.gains(rows)
    assert list(found) == [FLOOR, "deterministic"] and found["deterministic"] == paired(
        by[ANSWERS], by["deterministic"]
    )
    assert found[FLOOR].n == seeds and found[FLOOR].mean == pytest.approx(0.09)
    assert "over those of: one-hot +9.00" in humans.said(rows)[0]
    figure = dots(rows, "test_accuracy")
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["one-hot", "deterministic", "people"]


def test_without_students_there_is_no_gain() -> None:
    assert humans.students(students()).empty and humans.students(students().iloc[:0]).empty
    only = humans.students(students(2, ASKED).query("teacher != 'exact_bcp'"))
    assert humans.gains(only) == {} and humans.said(only) == []
