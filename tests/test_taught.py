"""What students were taught: shares by hand, and the columns of real students."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import small

from kdlib.execute import execute
from kdlib.plots.taught import against
from kdlib.report.sections import named
from kdlib.report.taught import COLUMNS, shares, taught
from kdlib.table import table


def test_shares_by_hand() -> None:
    bcp = np.array([[0.5, 0.5], [1.0, 0.0]])
    repeated, distance = shares(np.log([[0.75, 0.25], [0.5, 0.5]]), np.array([1, 0]), bcp)
    assert repeated == 0.5  # the second row's tie goes to class 0, its label
    by_hand = (0.5 * np.log(0.5 / 0.75) + 0.5 * np.log(0.5 / 0.25) + np.log(1 / 0.5)) / 2
    assert distance == pytest.approx(by_hand)
    assert shares(np.log(np.array([[0.5, 0.5]])), np.array([0]), bcp[:1]) == (1.0, pytest.approx(0.0))


def test_students_have_what_they_were_taught(store: Path) -> None:
    made = [
        execute(small.student(teacher=teacher, seed=seed))
        for teacher in ("deterministic", "one_hot")
        for seed in (0, 1)
    ]
    frame = table(only=[run.name for run in made])
    lessons = taught(named(frame.assign(teacher_label=frame["teacher"])))
    assert set(lessons["run"]) == {run.name for run in made[:2]}  # labels alone have no teacher
    assert lessons[list(COLUMNS)].notna().all(axis=None)
    assert lessons["taught_labels"].between(0, 1).all() and (lessons["taught_kl_to_bcp"] > 0).all()
    assert len(against(lessons, ("teacher_kl_to_bcp", "taught_labels")).axes) == 2
