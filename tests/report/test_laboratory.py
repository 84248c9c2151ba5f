"""The differences a laboratory promises, and how distance goes with gain, on tables whose answers are known."""

from __future__ import annotations

import warnings
from typing import Any

import pandas as pd
import pytest

from kdlib.base.errors import InputError
from kdlib.report import choosing, goes_with, laboratory
from kdlib.report.choice import FREE, effect
from kdlib.report.choosing import Choice
from kdlib.report.draw import against

SEEDS = range(6)


def row(kind: str, label: str, teacher: str, seed: int, accuracy: float, **more: Any) -> dict[str, Any]:
    return {"run": f"{kind}-{label}-{teacher}-{seed}-{more.get('temperature')}", "run_type": kind, "label": label,
            "teacher": teacher, "teacher_label": teacher, "seed": seed, "framework": "kd", "samples": 1,
            "omit_classes": "",
            "kd_weight": 0.9, "temperature": more.get("temperature", 1.0), "student_temperature": 1.0,
            "test_accuracy": accuracy + 0.01 * seed, "val_accuracy": accuracy + 0.01 * seed, **more}  # fmt: skip


def test_the_four_differences_pair_seeds_at_the_chosen_temperature() -> None:
    rows = []
    for s in SEEDS:
        rows += [row("teacher", "deterministic", "deterministic", s, 0.80), row("student", "floor", "one_hot", s, 0.76)]
        rows += [row("student", "ceiling", "exact_bcp", s, a, temperature=t) for t, a in ((1.0, 0.79), (4.0, 0.82))]
        rows += [
            row("student", "distilled", "deterministic", s, a, temperature=t) for t, a in ((1.0, 0.77), (4.0, 0.79))
        ]
        rows += [row("teacher", "overtrained", "deterministic", s, 0.10)]
    found = laboratory.differences(pd.DataFrame(rows))
    assert list(found) == list(laboratory.TARGETS)
    assert [one.mean for one in found.values()] == pytest.approx([0.04, 0.06, 0.03, 0.03])
    assert all(one.n == 6 and one.high - one.low < 1e-9 for one in found.values())
    table = laboratory.promised(pd.DataFrame(rows))
    assert list(table["met"]) == ["yes"] * 4 and list(table["asked"]) == pytest.approx([3, 3, 1, 1.5])
    poor = pd.DataFrame(rows)
    poor.loc[poor["label"] == "floor", ["test_accuracy"]] += 0.035
    assert list(laboratory.promised(poor)["met"]) == ["no", "no", "no", "yes"]


@pytest.mark.parametrize("sign", [-1, 1])
def test_rank_correlation_within_seeds_and_over_all(sign: int) -> None:
    """Distances in the order of the gains, or in the opposite one, whatever a seed adds to all of them."""
    labels = ("deterministic", "variational", "mse", "inducing", "label_smoothing")
    teachers, students = [], []
    for s in SEEDS:
        students.append(row("student", "floor", "one_hot", s, 0.7))
        for k, label in enumerate(labels):
            far = {
                f"{part}_kl_to_bcp_t{t}": 0.3 + 0.1 * s - sign * 0.01 * k for part in ("test", "train") for t in (1, 4)
            }
            teachers.append(row("teacher", label, label, s, 0.8, **far))
            for t in (1.0, 4.0):
                gain = 0.01 * k + 0.02 * (t == 4)
                students.append(row("student", "distilled", label, s, 0.7 + gain, temperature=t))
    frame = pd.DataFrame([*teachers, *students])
    for temperature, added in ((1.0, 0.0), (None, 0.02)):
        rows = goes_with.teachers_and_gains(frame, temperature, tempered=True)
        assert len(rows) == 6 * len(labels)
        first = rows[rows["teacher_label"] == "variational"]
        assert list(first["gain"]) == pytest.approx([0.01 + added] * 6)
        for measure in goes_with.MEASURES:
            found = goes_with.within_seeds(rows, measure)
            assert found is not None and found.mean == pytest.approx(-sign) and found.n == 6
    assert len(against(rows, goes_with.MEASURES, "gain").axes) == 2
    table = goes_with.correlations(frame)
    assert len(table) == 4 and set(table["trained apart"]) == {f"ρ = {'−' if sign > 0 else '+'}1.00 ± 0.00 (n = 6)"}
    assert goes_with.within_seeds(rows, labels=labels[:3]) is None
    best = effect(rows, "label_smoothing", "deterministic", "gain")
    assert best is not None and best.mean == pytest.approx(0.04)


def test_the_best_setting_has_the_lowest_nll_among_those_with_the_most_seeds() -> None:
    rows = [row("teacher", "length", "deterministic", s, 0.8, epochs=e, val_nll=nll + 0.01 * s)
            for e, nll, seeds in ((8, 0.5, 3), (12, 0.4, 3), (20, 0.3, 2)) for s in range(seeds)]  # fmt: skip
    table = Choice(pd.DataFrame(rows), "val_nll").candidates
    assert list(table["epochs"]) == [12, 8, 20] and list(table["best"]) == [True, False, False]
    assert table["mean"].iloc[0] == pytest.approx(0.41) and table["sd"].iloc[0] == pytest.approx(0.01)


def test_students_compete_at_each_setting_s_best_temperature_and_within_their_framework() -> None:
    rows = [row("student", "frameworks", "deterministic", s, 0.7 + 0.01 * (w == 1) + 0.05 * (f == "crd") + 0.002 * t,
                framework=f, framework_weight=w, temperature=t)
            for f in ("at", "crd") for w in (1.0, 10.0) for t in (1.0, 4.0) for s in range(3)]  # fmt: skip
    table = Choice(pd.DataFrame(rows), "val_accuracy", FREE).candidates
    assert list(table["framework"]) == ["at", "at", "crd", "crd"] and list(table["best"]) == [True, False] * 2
    assert list(table["temperature"]) == [4.0] * 4 and list(table["framework_weight"]) == [1.0, 10.0] * 2
    one = Choice(pd.DataFrame(rows[:6]), "val_accuracy", FREE).candidates  # T alone: then T competes
    assert list(one["temperature"]) == [4.0, 1.0]


@pytest.mark.parametrize("still", ["gain", "test_kl_to_bcp"])
def test_what_does_not_vary_has_no_rank_correlation(still: str) -> None:
    """What is the same for every teacher has no order: no warning, and no number."""
    four = {"teacher_label": list("abcd"), "gain": [0.1, 0.2, 0.3, 0.4], "test_kl_to_bcp": [4.0, 3.0, 2.0, 1.0]}
    one = pd.DataFrame({**four, "seed": 0})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = goes_with.within_seeds(pd.concat([one, one.assign(seed=1, **{still: 1.0})]), labels=list("abcd"))
        assert found is not None and found.n == 1 and found.mean == -1, "the other seed has none"
        assert goes_with.within_seeds(one.assign(**{still: 1.0}), labels=list("abcd")) is None


def test_a_setting_that_is_the_study_s_own_competes_too() -> None:
    """It is a run of the entry that others start from, and stands under that label."""
    rows = [row("teacher", label, label, s, 0.8, epochs=e, val_nll=nll)
            for label, e, nll in (("deterministic", 8, 0.4), ("length", 10, 0.5)) for s in range(3)]  # fmt: skip
    table = Choice(choosing.with_default(pd.DataFrame(rows), "length"), "val_nll").candidates
    assert list(table["epochs"]) == [8, 10] and list(table["best"]) == [True, False]
    assert set(choosing.with_default(pd.DataFrame(rows), "deterministic")["epochs"]) == {8}


def test_what_a_choice_leads_by_is_paired_over_seeds() -> None:
    """Above zero where the best was better on that seed too, whatever a seed adds to both."""
    rows = [row("teacher", "length", "deterministic", s, 0.8, epochs=e, val_nll=nll + s - 0.3 * (e == 12) * (s == 2))
            for e, nll, seeds in ((8, 0.4, 3), (12, 0.6, 3), (20, 0.3, 2)) for s in range(seeds)]  # fmt: skip
    led = Choice(pd.DataFrame(rows), "val_nll").lead
    assert set(led["choice"]) == {"length"} and list(led["val_nll"]) == pytest.approx([0.2, 0.2, -0.1])
    assert Choice(pd.DataFrame(rows[:3]), "val_nll").lead.empty
    rows = [row("student", "frameworks", "deterministic", s, 0.7 + 0.01 * w * (f == "crd"), framework=f,
                framework_weight=w)
            for f in ("at", "crd") for w in (1.0, 2.0) for s in range(2)]  # fmt: skip
    led = Choice(pd.DataFrame(rows), "val_accuracy", FREE).lead
    assert led.groupby("choice")["val_accuracy"].mean().to_dict() == pytest.approx(
        {"frameworks at": 0.0, "frameworks crd": 0.01}
    )


def test_a_study_s_choices_and_what_is_said_of_them() -> None:
    """Teachers by validation NLL, students by accuracy unless their length is chosen; one setting is no choice."""
    rows = [row(sort, label, "deterministic", 900 + s, 0.7 + 0.01 * e, epochs=e, val_nll=0.5 + 0.1 * e)
            for sort, label, epochs in (("teacher", "mse", (1, 2)), ("student", "student_length", (1, 2, 3)),
                                        ("student", "cmi_weight", (1, 2)), ("student", "ceiling", (1,)))
            for e in epochs for s in range(2)]  # fmt: skip
    frame = pd.DataFrame(rows)
    made = list(choosing.choices(frame))
    assert [(one.rows["label"].iloc[0], one.measure, one.over) for one in made] == [
        ("mse", "val_nll", ()),
        ("student_length", "val_nll", FREE),
        ("cmi_weight", "val_accuracy", FREE),
    ]  # fmt: skip
    assert choosing.said("<b>", frame, made).startswith(r"**\<b\>:** ")
    said = choosing.said("Here", frame, made)
    assert said.startswith("**Here:** 3 choices between 7 settings, on seeds 900 to 901; in 0 of them")
    table = made[0].written()
    assert list(table["epochs"]) == [1, 2] and list(table["mean"]) == ["0.6000", "0.7000"] and "best" not in table


@pytest.mark.parametrize("more", [{"fraction": 0.05}, {"epochs": 50}, {"omit_classes": "3"}, {"schedule": "constant"}])
def test_a_gain_is_over_labels_of_students_trained_alike(more: dict[str, Any]) -> None:
    """However early in the table another student of labels is."""
    usual = {"fraction": 1.0, "epochs": 15, "schedule": "cosine"}
    rows = []
    for s in SEEDS:
        rows.append(row("student", "another", "one_hot", s, 0.5, **usual | more))
        rows.append(row("student", "floor", "one_hot", s, 0.75, **usual))
        rows.append(row("student", "distilled", "deterministic", s, 0.77, **usual))
    assert list(goes_with.gains(pd.DataFrame(rows))["gain"]) == pytest.approx([0.02] * len(SEEDS))


def test_two_runs_of_one_seed_are_one_sentence() -> None:
    rows = pd.DataFrame([row("student", "distilled", "deterministic", s, 0.77) for s in (0, 0, 1)])
    with pytest.raises(InputError, match="teacher_label = 'deterministic' has several runs of seed 0"):
        effect(rows, "mcmi", "deterministic")


def test_students_of_other_images_are_not_trained_alike() -> None:
    """A study may hold students of people's answers, or of another noise, beside its own."""
    rows = []
    for s in SEEDS:
        rows += [row("student", "humans", "one_hot", s, 0.5, dataset="cifar10h"),
                 row("student", "floor", "one_hot", s, 0.75, dataset="cifar10"),
                 row("student", "distilled", "deterministic", s, 0.77, dataset="cifar10")]  # fmt: skip
    assert list(goes_with.gains(pd.DataFrame(rows))["gain"]) == pytest.approx([0.02] * len(SEEDS))
