"""The page on people's answers: distances of teachers, students of nearer teachers, students that learn from people."""

from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd
import pytest

from kdlib.base.errors import InputError
from kdlib.report import humans, plots
from kdlib.report.claims import paired
from kdlib.report.humans import ANSWERS, BASELINE, DISTANCE, FLOOR, OF_TEACHER
from kdlib.report.plots import humans as plots_humans
from kdlib.report.sections import Section

FAR = {BASELINE: 0.9, "variational": 0.7, "laplace": 0.8, "mcmi": 1.0}


def teachers(seeds: int = 5, dataset: str = "cifar10") -> pd.DataFrame:
    """Return teachers of known distance to people."""
    rows = [
        {"run": f"teacher-{kind}-{seed}", "run_type": "teacher", "dataset": dataset, "architecture": "resnet8",
         "teacher": kind, "teacher_label": kind, "seed": seed, DISTANCE: far + 0.01 * seed, "test_nll": 1.0,
         "test_accuracy": 0.6}
        for kind, far in FAR.items() for seed in range(seeds)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def students(seeds: int = 5, dataset: str = "cifar10", gain: float = -0.1) -> pd.DataFrame:
    """Return students at two temperatures, T = 4 better on validation images; accuracy follows the teacher's distance.

    On `cifar10h` they learn from labels, people or the deterministic teacher.
    """
    kinds = [FLOOR, *FAR] if dataset == "cifar10" else [ANSWERS, BASELINE, FLOOR]
    rows = []
    for kind in kinds:
        for warm in (np.nan,) if kind == FLOOR else (1.0, 4.0):
            for seed in range(seeds):
                far = {FLOOR: 1.2, ANSWERS: 0.3}.get(kind) or FAR[kind]
                accuracy = 0.6 + gain * far + 0.01 * seed + 0.001 * (seed % 2) * (kind == BASELINE)
                rows.append({
                    "run": f"{dataset}-{kind}-{warm}-{seed}", "run_type": "student", "dataset": dataset,
                    "architecture": "resnet8", "teacher": kind, "teacher_label": kind, "seed": seed, "framework": "kd",
                    "teacher_run": f"teacher-{kind}-{seed}" if kind in FAR else None, "epochs": 12, "fraction": 0.1,
                    "kd_weight": 1.0, "temperature": warm, "student_temperature": warm,
                    "val_accuracy": 0.5 + 0.1 * (warm == 4), "test_accuracy": accuracy - 0.3 * (warm == 1),
                    DISTANCE: 0.5 + far,
                })  # fmt: skip
    return pd.DataFrame(rows)


def words(shown: object) -> str:
    """Return a table or sentence without its tags."""
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", str(getattr(shown, "data", shown))))


def test_teachers_are_those_whose_distance_to_people_is_known() -> None:
    frame = pd.concat([teachers(), teachers(dataset="digits"), teachers().assign(**{DISTANCE: math.nan})])
    ((name, rows),) = humans.teachers(frame)
    assert (name, len(rows), set(rows["dataset"])) == ("cifar10, resnet8", 20, {"cifar10"})
    assert humans.baseline_of(rows) == BASELINE
    assert list(humans.teachers(frame.drop(columns=DISTANCE))) == []
    two = pd.concat([teachers(), teachers().assign(architecture="resnet20")])
    assert [name for name, _ in humans.teachers(two)] == ["cifar10, resnet8", "cifar10, resnet20"]


def test_students_stand_beside_their_own_teacher_at_the_setting_that_validation_chooses() -> None:
    ((name, rows),) = humans.pupils(students(), teachers())
    assert name == "cifar10, resnet8"
    assert set(rows["temperature"].dropna()) == {4.0} and len(rows) == 25
    one = rows[(rows["teacher"] == "laplace") & (rows["seed"] == 3)].iloc[0]
    assert one[OF_TEACHER] == pytest.approx(0.83)
    assert rows.loc[rows["teacher"] == FLOOR, OF_TEACHER].isna().all()
    assert list(humans.pupils(students(), teachers().drop(columns=DISTANCE))) == []
    assert list(humans.pupils(students(), teachers().assign(run="another"))) == []  # labels alone make no scatter
    alike = pd.concat([students(), students().assign(epochs=3), students().assign(framework="crd")])
    assert len(list(humans.pupils(alike, teachers()))) == 2


@pytest.mark.parametrize(("gain", "sign"), [(-0.1, -1), (0.2, 1)])
def test_the_correlation_is_over_the_means_of_teachers(gain: float, sign: int) -> None:
    ((_, rows),) = humans.pupils(students(gain=gain), teachers())
    assert humans.correlation(rows, "test_accuracy") == pytest.approx(sign, abs=1e-3)
    assert humans.correlation(rows, DISTANCE) == pytest.approx(1)
    assert f"{sign:+.2f} with their students' accuracy".replace("-", "−") in humans.observed(rows)
    two = rows[rows["teacher"].isin((BASELINE, "mcmi"))]
    assert humans.correlation(two, DISTANCE) is None
    assert humans.observed(two) == "With 2 teachers there is no correlation to speak of."
    assert humans.correlation(rows.assign(test_accuracy=0.5), "test_accuracy") is None


def test_differences_are_paired() -> None:
    ((_, rows),) = humans.teachers(teachers(3))
    table = words(
        humans.differences(rows, [("variational", BASELINE)], [DISTANCE, "test_accuracy"], "group", "teacher")
    )
    assert "variational minus deterministic 3 −0.200 ± 0.000 0.0 ± 0.0" in table
    assert "test KL(people ‖ teacher) (nats)" in table and "test accuracy (points)" in table
    assert "BCP" not in table
    assert "– –" in words(humans.differences(rows, [("nobody", BASELINE)], [DISTANCE, "test_nll"], "group", "teacher"))


@pytest.mark.parametrize("seeds", [1, 2, 5])
def test_what_students_of_people_gain(seeds: int) -> None:
    frame = pd.concat([students(seeds, "cifar10h"), students(seeds)])
    ((name, rows),) = humans.of_people(frame)
    assert name == "cifar10h, resnet8"
    assert list(dict.fromkeys(rows["teacher"])) == [FLOOR, BASELINE, ANSWERS]
    assert humans.pairs_of(rows) == [(ANSWERS, FLOOR), (ANSWERS, BASELINE), (BASELINE, FLOOR)]
    by = {kind: part.sort_values("seed")["test_accuracy"].to_numpy() for kind, part in rows.groupby("teacher")}
    effect = paired(by[ANSWERS], by[BASELINE])
    line = words(humans.short_of_people(Section("s", "Study", "", rows), name, rows))
    assert f"over one-hot +9.0{' ± 0.0' if seeds > 1 else ''} (n = {seeds})" in line
    assert f"over deterministic {100 * effect.mean:+.1f}" in line
    table = words(humans.means(rows, [DISTANCE], "teacher_label", "student"))
    assert f"people {seeds} 0.8" in table and "BCP" not in table
    figure = plots_humans.renamed(plots.interval_dots(rows, "test_accuracy", "teacher_label"))
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["one-hot", "deterministic", "people"]
    gains = plots_humans.differences(rows, "test_accuracy", FLOOR, "teacher_label")
    assert [text.get_text() for text in gains.axes[0].get_yticklabels()] == ["deterministic", "people"]
    assert gains.axes[0].get_xlabel() == "difference from one-hot:\ntest accuracy (points)"


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_scatter_has_a_mark_a_teacher(seeds: int) -> None:
    ((_, rows),) = humans.pupils(students(seeds), teachers(seeds))
    taught = rows[rows[OF_TEACHER].notna()]
    figure = plots_humans.closeness(taught, OF_TEACHER, 0.5)
    above, below = figure.axes
    drawn = [np.array(line.get_xydata()) for line in below.lines if line.get_marker() not in ("None", "")]
    for mean in taught.groupby("teacher")[[OF_TEACHER, DISTANCE]].mean().to_numpy():
        assert any(np.allclose(points, [mean]) for points in drawn)
    assert above.get_ylabel() == "student: test accuracy (%)"
    assert (below.get_xlabel(), below.get_ylabel()) == ("KL(people ‖ teacher) (nats)", "KL(people ‖ student) (nats)")
    assert "one-hot" in [text.get_text() for text in above.texts]
    assert figure.legends[0].get_texts()[0].get_text() == f"deterministic (n = {seeds})"
    with pytest.raises(InputError, match="no rows"):
        plots_humans.closeness(taught.iloc[:0], OF_TEACHER)


def test_findings_name_the_nearest_teacher() -> None:
    ((name, rows),) = humans.teachers(teachers())
    line = words(humans.short_of_teachers(Section("s", "Study", "", rows), name, rows))
    assert "test KL(people ‖ teacher) (nats), n = 5" in line
    assert re.search(r"deterministic 0\.920 ± \d\.\d+; variational 0\.720 ± \d\.\d+ \(nearest\)", line)
