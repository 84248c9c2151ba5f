"""The distillation grid: which students are compared, at which setting, and what C4 and C5 rest on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from kdlib.measures.convergence import COLUMN, noise
from kdlib.report import choice
from kdlib.report.choice import chosen
from kdlib.report.claims import c04, c05
from kdlib.report.claims.answers import Answer
from kdlib.report.claims.rules import Verdict
from kdlib.report.claims.students import ENDS, at_the_edge, compared, family, with_ends
from kdlib.report.inference import paired, paired_relative
from kdlib.study import records
from kdlib.study.rows import table

MEMBERS = ("variational", "laplace")
GAINS = {"deterministic": 0.0, "variational": 0.03, "laplace": 0.0, "early_stopped": 0.02}


def students(gains: Mapping[str, float] = GAINS, seeds: int = 6, **given: Any) -> pd.DataFrame:
    """Return students of each teacher at α in 0.5, 1 and T in 1, 4; validation prefers α 1, T 4, test α 0.5, T 1."""
    rows = []
    for label, gain in gains.items():
        for weight in (0.5, 1.0):
            for t in (1.0, 4.0):
                for seed in range(seeds):
                    wiggle = 1e-3 * math.sin(7 * seed + len(label))
                    rows.append(
                        {"run": f"{label}-{weight}-{t}-{seed}", "source": "run", "run_type": "student", "seed": seed,
                         "teacher": label, "teacher_label": label, "label": "distilled", "framework": "kd",
                         "dataset": "digits", "architecture": "cnn16", "samples": 1, "omit_classes": "",
                         "fraction": 1.0, "epochs": 40, "kd_weight": weight, "temperature": t,
                         "student_temperature": 1.0,
                         "val_accuracy": 0.7 + gain + 0.02 * (weight == 1) + 0.02 * (t == 4) + 0.005 * seed,
                         "test_accuracy": 0.7 + gain - 0.1 * (weight == 1 and t == 4) + 0.005 * seed + wiggle}
                    )  # fmt: skip
    return pd.DataFrame(rows).assign(**given)


FRAME = students()


def noisy(rows: pd.DataFrame, factors: Mapping[str, float]) -> pd.DataFrame:
    """Add a convergence noise that differs between teachers by a factor, and a little between seeds."""
    own = [factors[label] * 0.01 * (1 + 0.05 * math.cos(3 * seed + len(label)))
           for label, seed in zip(rows["teacher_label"], rows["seed"], strict=True)]  # fmt: skip
    return rows.assign(**{COLUMN: own})


PICKED = noisy(chosen(FRAME), {"deterministic": 1.0, "variational": 2.0, "laplace": 0.5, "early_stopped": 0.9})


def test_validation_chooses_each_teacher_s_setting() -> None:
    assert set(PICKED["kd_weight"]) == {1.0} and set(PICKED["temperature"]) == {4.0}
    assert len(PICKED) == 6 * len(GAINS)


def test_only_the_grid_s_students_are_compared() -> None:
    other = [
        students({"laplace": 0.2}, label="tempered"),
        students({"laplace": 0.2}, samples=4),
        students({"laplace": 0.2}, framework="crd"),
        students({"laplace": 0.2}, omit_classes="3"),
        students({"one_hot": 0.2}),
    ]
    other = [rows.assign(run=rows["run"] + f"-{k}") for k, rows in enumerate(other)]
    (rows,) = compared(pd.concat([*other, FRAME], ignore_index=True))
    assert sorted(rows["run"]) == sorted(FRAME["run"])
    few = students(fraction=0.1, label="distilled_few")
    few["run"] += "-few"
    assert [set(one["fraction"]) for one in compared(pd.concat([FRAME, few]))] == [{1.0}, {0.1}]
    by_hand = FRAME.assign(label=FRAME["teacher"])  # runs chosen by name have no entry
    assert [len(one) for one in compared(by_hand)] == [len(FRAME)]
    assert not list(compared(FRAME.assign(label="fewshot")))


def test_the_floor_and_the_ceiling_stand_beside_and_change_no_verdict() -> None:
    ends = students({"one_hot": -0.02, "exact_bcp": 0.05}, label="floor").query("kd_weight == 1 and temperature == 1")
    other = ends.assign(epochs=10, run=ends["run"] + "-short")
    rows = with_ends(chosen(FRAME), pd.concat([FRAME, ends, other], ignore_index=True))
    assert set(rows.loc[rows["teacher"].isin(ENDS), "run"]) == set(ends["run"])
    assert family(rows, MEMBERS) == family(PICKED, MEMBERS)
    assert with_ends(PICKED, FRAME) is PICKED


def test_effects_are_those_of_the_claims() -> None:
    by_seed = PICKED.pivot(index="seed", columns="teacher", values="test_accuracy")
    gains = family(PICKED, MEMBERS)
    for member in MEMBERS:
        assert gains[member] == paired(by_seed[member].to_numpy(), by_seed["deterministic"].to_numpy())
    jumps = PICKED.pivot(index="seed", columns="teacher", values=COLUMN)
    relative = family(PICKED, MEMBERS, COLUMN, relative=True)
    for member in MEMBERS:
        assert relative[member] == paired_relative(jumps[member].to_numpy(), jumps["deterministic"].to_numpy())
    said = {claim.id: [one.verdict for one in Answer(claim, found).judged]
            for claim, found in ((c04.CLAIM, gains), (c05.CLAIM, relative))}  # fmt: skip
    assert said == {
        "C4": [Verdict.SUPPORTED, Verdict.NOT_SUPPORTED],
        "C5": [Verdict.NOT_SUPPORTED, Verdict.SUPPORTED],  # twice the noise; half of it
    }


def test_a_label_is_not_the_kind() -> None:
    for own in ("deterministic", "laplace"):
        rows = PICKED.assign(teacher_label=PICKED["teacher_label"].replace(own, "of_another_network"))
        assert family(rows, MEMBERS)["laplace"] is None, "another label of the kind is no stand-in"
    assert family(PICKED.assign(teacher="deterministic"), MEMBERS) == family(PICKED, MEMBERS)
    assert family(PICKED[PICKED["teacher"] != "laplace"], MEMBERS)["laplace"] is None


def test_a_pair_without_noise_is_left_out() -> None:
    rows = PICKED.copy()
    rows.loc[(rows["teacher"] == "laplace") & (rows["seed"] == 2), COLUMN] = 0.0
    one, whole = (family(each, MEMBERS, COLUMN, relative=True) for each in (rows, PICKED))
    assert one["laplace"] is not None and one["laplace"].n == 5 and one["variational"] == whole["variational"]
    assert one["laplace"] == family(PICKED.query("seed != 2"), MEMBERS, COLUMN, relative=True)["laplace"]
    none = PICKED.assign(**{COLUMN: 0.0})
    assert set(family(none, MEMBERS, COLUMN, relative=True).values()) == {None}


def test_effects_of_a_study(study: str) -> None:
    frame = table(study).replace({"teacher_label": {"plain": "deterministic"}})  # the label that claims compare
    assert not any(c04.effects(frame).values()), "one teacher, no pair"
    assert c05.effects(frame) == c05.effects(frame[frame["run_type"] == "teacher"]) == dict.fromkeys(MEMBERS)
    (rows,) = compared(frame[frame["run_type"] == "student"])
    # a second teacher, by name only: the claims want pairs
    twin = chosen(rows).assign(teacher="variational", teacher_label="variational")
    other = twin.assign(run=[f"{name}-x" for name in twin["run"]], source="record")
    found = c04.effects(pd.concat([frame, other], ignore_index=True))
    one = found["variational"]
    assert one is not None and one.n == 2 and one.mean == 0 and found["laplace"] is None


def test_noise_comes_from_the_histories() -> None:
    rng = np.random.default_rng(0)
    rows = chosen(FRAME).assign(source="record", label=c05.LABEL)
    curves = {name: rng.random(40) for name in rows["run"]}
    texts = dict.fromkeys(records.TEXTS, "some") | {"run_type": "student"}
    past = {
        name: [{"step": k, "val_accuracy": value} for k, value in enumerate(curve)] for name, curve in curves.items()
    }
    records.write(
        records.file_of("some", 0), [{**texts, "run": name, "history": steps} for name, steps in past.items()]
    )
    for window in c05.WINDOWS:
        found = c05.converging(rows, window)
        assert found is not None
        np.testing.assert_allclose(found[COLUMN], [float(noise(curves[name], window)) for name in found["run"]])
        assert c05.effects(rows, window) == family(found, MEMBERS, COLUMN, relative=True)
    assert not any(c05.effects(FRAME.assign(source="record")).values()), "none at a constant rate"


def test_a_choice_at_the_edge_is_said() -> None:
    said = at_the_edge(FRAME, chosen(FRAME))  # T in 1, 4; validation prefers 4
    assert said.startswith("Chosen at the edge") and said.count("(4 of 1 to 4)") == len(GAINS)
    wider = pd.concat([FRAME, FRAME[FRAME["temperature"] == 1].assign(temperature=8.0)], ignore_index=True)
    assert at_the_edge(wider, choice.chosen(wider)) == ""
    one = FRAME[FRAME["temperature"] == 4]
    assert at_the_edge(one, chosen(one)) == ""
