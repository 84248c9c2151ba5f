"""What a claim compares: the setting that validation images prefer, in pairs of seeds."""

from __future__ import annotations

import pandas as pd
import pytest

from kdlib.report import choice
from kdlib.report.inference import paired_relative


def students() -> pd.DataFrame:
    """Two teachers at T = 1 and 4: on validation images `a` is better warm, `b` cold; on test images the reverse."""
    rows = [
        {"teacher_label": label, "temperature": t, "kd_weight": 1.0, "seed": seed,
         "val_accuracy": (0.6 if (label == "a") == (t == 4) else 0.5) + 0.01 * seed,
         "test_accuracy": (0.4 if (label == "a") == (t == 4) else 0.9) + 0.02 * seed}
        for label in "ab" for t in (1.0, 4.0) for seed in range(3)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_validation_chooses_for_each_teacher() -> None:
    kept = choice.chosen(students())
    assert kept.groupby("teacher_label")["temperature"].unique().map(list).to_dict() == {"a": [4.0], "b": [1.0]}
    assert len(kept) == 6


def test_a_setting_with_fewer_seeds_is_not_chosen() -> None:
    rows = students()
    rows = rows[~((rows["teacher_label"] == "a") & (rows["temperature"] == 4) & (rows["seed"] == 0))]
    assert set(choice.chosen(rows)["temperature"]) == {1.0}


def test_settings_that_nobody_has_choose_nothing() -> None:
    rows = students().assign(temperature=None).drop_duplicates(["teacher_label", "seed"])
    assert len(choice.chosen(rows)) == 6
    assert choice.chosen(rows.iloc[:0]).empty


def test_effects_pair_the_seeds_that_both_have() -> None:
    kept = choice.chosen(students())
    kept = kept[~((kept["teacher_label"] == "b") & (kept["seed"] == 2))]
    found = choice.effect(kept, "b", "a")
    assert found is not None
    assert (found.n, found.mean) == (2, pytest.approx(0.0, abs=1e-12))
    assert choice.effect(kept, "c", "a") is None
    assert choice.effect(kept[kept["teacher_label"] == "a"], "b", "a") is None
    relative = choice.effect(students().query("temperature == 1"), "a", "b", relative=True)
    assert relative is not None
    assert relative.mean == pytest.approx(paired_relative([0.9, 0.92, 0.94], [0.4, 0.42, 0.44]).mean)


def test_gains_pair_by_seed_and_leave_the_baseline_out() -> None:
    rows = [
        {"teacher_label": label, "seed": seed, "test_accuracy": 0.8 + 0.01 * seed + gain}
        for label, gain in (("deterministic", 0.0), ("laplace", 0.02), ("mcmi", -0.01)) for seed in range(6)
    ]  # fmt: skip
    frame = pd.DataFrame(rows).sample(frac=1, random_state=0)
    frame = frame[(frame["teacher_label"] != "mcmi") | (frame["seed"] != 3)]
    found = choice.gains(frame).groupby("teacher_label")["test_accuracy"].agg(["mean", "std", "count"])
    assert sorted(found.index) == ["laplace", "mcmi"] and list(found["count"]) == [6, 5]
    assert list(found["mean"]) == pytest.approx([0.02, -0.01]) and list(found["std"]) == pytest.approx([0, 0])
    less = frame[(frame["teacher_label"] != "deterministic") | (frame["seed"] != 0)]
    assert (choice.gains(less)["seed"] != 0).all() and choice.gains(frame, baseline="nobody").empty


def test_who_leads_and_whether_surely() -> None:
    rows = pd.DataFrame([{"teacher_label": label, "seed": seed, "x": base + 0.1 * seed + (label == "b") * noise}
                         for label, base in (("a", 1.0), ("b", 2.0), ("c", 3.0))
                         for seed, noise in enumerate([0.01, -0.01, 0.0])])  # fmt: skip
    assert choice.leads(rows, "x") == ("a", True) and choice.leads(rows, "x", lowest=False) == ("c", True)
    rows.loc[(rows["teacher_label"] == "a") & (rows["seed"] == 0), "x"] = 3.0
    assert choice.leads(rows, "x") == ("a", False), "by its mean"
    assert choice.leads(rows[rows["teacher_label"] == "a"], "x") == ("a", True), "there is no other"


def test_a_table_is_asked_once_and_never_taken_for_another() -> None:
    asked: list[tuple[int, str]] = []

    @choice.once
    def longest(frame: pd.DataFrame, sort: str = "teacher") -> int:
        asked.append((len(frame), sort))
        return len(frame)

    first, same, last = (pd.DataFrame({"seed": range(n)}) for n in (3, 3, 5))
    assert [longest(one) for one in (first, last, first, last)] == [3, 5, 3, 5]
    assert asked == [(3, "teacher"), (5, "teacher")], "a study and its control, in turn"
    assert longest(first, "student") == longest(same) == 3
    assert asked[2:] == [(3, "student"), (3, "teacher")], "an equal table is another"
    assert longest(first) == 3 and len(asked) == 4, "four are known"
    assert longest(pd.DataFrame()) == 0 and longest(first) == 3 and asked[5:] == [(3, "teacher")], "not five"
