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
from kdlib.report.claims import c06
from kdlib.report.claims.rules import Verdict, judge, needed
from kdlib.report.claims.students import ENDS, with_ends
from kdlib.report.inference import Effect, paired, seeds_needed
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
    (rows,) = c06.sweeps(table())
    assert set(rows["teacher"]) == {"variational"}
    assert rows.groupby("samples")["seed"].nunique().to_dict() == {1.0: 5, 2.0: 5, 4.0: 5, 16.0: 5}
    assert set(rows["temperature"]) == {1.0} and set(rows["fraction"]) == {1.0}
    ends = with_ends(rows, table())["teacher"].value_counts()
    assert ends[list(ENDS)].to_dict() == {"one_hot": 5, "exact_bcp": 5}


def test_the_gain_is_that_of_the_most_samples_over_one_in_pairs() -> None:
    frame = table(gain=0.01)
    found = c06.effects(frame)[c06.MEMBER]
    most, one = (frame[(frame["teacher"] == "variational") & (frame["samples"] == n)].query(
        "fraction == 1 and temperature == 1")["test_accuracy"].to_numpy() for n in (16, 1))  # fmt: skip
    by_hand = paired(most, one)
    assert found is not None and (found.mean, found.low, found.n) == pytest.approx((by_hand.mean, by_hand.low, 5))
    assert found.mean == pytest.approx(0.04, abs=0.004)
    assert judge(c06.CLAIM, {c06.MEMBER: found})[0].verdict is Verdict.SUPPORTED


def test_a_pair_that_lacks_one_side_does_not_count() -> None:
    frame = table()
    left_out = (frame["samples"] == 16) & (frame["seed"] == 2)
    found = c06.effects(frame[~left_out])[c06.MEMBER]
    assert found is not None and found.n == 4
    nothing = {c06.MEMBER: None}
    assert c06.effects(frame[frame["label"] != "samples"]) == nothing, "one sample alone is no sweep"
    assert c06.effects(frame[frame["samples"] != 1]) == nothing
    assert c06.effects(frame.assign(run_type="teacher")) == nothing


def test_settings_are_chosen_by_validation_for_each_number_of_samples() -> None:
    warm = pd.concat([students("variational", "samples", gain=g, samples=n, temperature=4.0, student_temperature=4.0)
                      for n, g in ((1.0, -0.2), (16.0, 0.2))])  # fmt: skip
    (rows,) = c06.sweeps(pd.concat([table(), warm], ignore_index=True))
    assert rows.groupby("samples")["temperature"].first().to_dict() == {1.0: 1.0, 2.0: 1.0, 4.0: 1.0, 16.0: 4.0}
    assert not rows.duplicated(["samples", "seed"]).any()


def test_two_teachers_and_two_trainings_are_sweeps_of_their_own() -> None:
    more = pd.concat([students("variational", samples=n, epochs=20) for n in (1.0, 8.0)]
                     + [students("inducing", samples=n) for n in (1.0, 8.0)])  # fmt: skip
    frame = pd.concat([table(), more], ignore_index=True)
    found = list(c06.sweeps(frame))
    assert [set(rows["teacher"]) for rows in found] == [{"variational"}, {"variational"}, {"inducing"}]
    assert [len(with_ends(rows, frame)) - len(rows) for rows in found] == [10, 0, 10]
    assert c06.effects(frame) == c06.effects(table())


def test_the_whole_grid_is_there_to_be_shown() -> None:
    warm = students("variational", "samples", samples=4.0, temperature=8.0)
    (rows,) = c06.grids(pd.concat([table(), warm], ignore_index=True))
    assert rows.groupby("samples")["temperature"].unique().map(list).to_dict() == {1: [1], 2: [1], 4: [1, 8], 16: [1]}
    assert rows["samples"].is_monotonic_increasing and not rows["run"].duplicated().any()


def test_seeds_that_would_settle_it_are_known_where_the_verdict_is_open() -> None:
    one = Effect(0.004, -0.004, 0.012, 10, 0.011, 0.3)
    (said,) = judge(c06.CLAIM, {c06.MEMBER: one})
    assert (said.verdict, needed(c06.CLAIM, said)) == (Verdict.INCONCLUSIVE, seeds_needed(one, 0.005))
    assert judge(c06.CLAIM, {c06.MEMBER: None})[0].verdict is Verdict.NOT_RUN


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
