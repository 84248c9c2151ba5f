"""The frameworks page: which students are compared, what they gain, and what is said of it."""

from __future__ import annotations

import pandas as pd
import pytest

from kdlib.report import page
from kdlib.report.claims import c09
from kdlib.report.claims.answers import answers
from kdlib.report.claims.rules import Verdict, judge
from kdlib.report.claims.sentences import sentence
from kdlib.report.claims.students import compared as of_the_grid
from kdlib.report.claims.tables import verdicts
from kdlib.report.draw import dots
from kdlib.report.inference import paired
from kdlib.report.words import with_interval

PLAIN, MCMI = "deterministic", "mcmi"


def students(framework: str, gain: float, seeds: int = 5, **given: object) -> pd.DataFrame:
    """Return students of both teachers, MCMI's better by `gain` and a little noise."""
    rows = []
    for seed in range(seeds):
        for teacher in (PLAIN, MCMI):
            accuracy = 0.5 + 0.01 * seed + (gain + 1e-3 * (seed - seeds // 2)) * (teacher == MCMI)
            rows.append({"run_type": "student", "framework": framework, "teacher": teacher, "teacher_label": teacher,
                         "seed": seed, "architecture": "cnn8", "samples": 1, "omit_classes": "",
                         "test_accuracy": accuracy, "val_accuracy": accuracy, "epochs": 10, "label": "frameworks",
                         "fraction": 1.0, "temperature": 1.0, "learning_rate": None} | given)  # fmt: skip
    return pd.DataFrame(rows)


FRAME = pd.concat([students("crd", 0.0), students("kd", 0.03), students("at", 0.01)], ignore_index=True)


def test_gains_are_paired_and_in_the_claim_s_order() -> None:
    (rows,) = c09.compared(FRAME)
    assert list(dict.fromkeys(rows["framework"])) == ["kd", "at", "crd"]
    mcmi, plain = (rows[(rows["framework"] == "kd") & (rows["teacher"] == who)] for who in (MCMI, PLAIN))
    one = paired(mcmi["test_accuracy"].to_numpy(), plain["test_accuracy"].to_numpy())
    judged = {found.member: found for found in judge(c09.CLAIM, c09.effects(FRAME))}
    assert list(judged) == list(c09.CLAIM.treated) and judged["rkd"].verdict is Verdict.NOT_RUN
    assert judged["kd"].effect is not None
    assert (judged["kd"].effect.mean, judged["kd"].effect.low) == pytest.approx((one.mean / 0.005, one.low / 0.005))
    assert [judged[name].verdict for name in ("kd", "at", "crd")] == [
        Verdict.SUPPORTED, Verdict.SUPPORTED, Verdict.NOT_SUPPORTED,
    ]  # fmt: skip


def test_only_students_that_were_trained_alike_are_compared() -> None:
    other = students("kd", 0.2, epochs=40, label="distilled")
    few = students("kd", 0.2, fraction=0.1, label="few")
    one_hot = students("kd", 0.0).assign(teacher="one_hot", teacher_label="one_hot")
    (rows,) = c09.compared(pd.concat([other, few, one_hot, FRAME], ignore_index=True))
    assert set(rows["epochs"]) == {10} and set(rows["fraction"]) == {1.0} and len(rows) == len(FRAME)
    # plain students that another entry has made already are those of the framework kd
    (rows,) = c09.compared(FRAME.assign(label=FRAME["framework"].map({"kd": "distilled"}).fillna("frameworks")))
    assert set(rows["framework"]) == {"kd", "at", "crd"}
    assert list(c09.compared(other)) == []
    (rows,) = c09.compared(pd.concat([other, students("at", 0.1, epochs=40, label="mine")]))
    assert set(rows["framework"]) == {"kd", "at"}


def test_settings_are_chosen_by_validation_for_each_framework_and_teacher() -> None:
    warm = students("kd", 0.0, temperature=4.0)
    warm["val_accuracy"] += 0.1 * (warm["teacher"] == MCMI)
    warm["test_accuracy"] -= 0.3
    (rows,) = c09.compared(pd.concat([FRAME, warm], ignore_index=True))
    chosen = rows[rows["framework"] == "kd"].groupby("teacher")["temperature"].unique()
    assert (chosen[PLAIN].tolist(), chosen[MCMI].tolist()) == ([1.0], [4.0])
    assert not rows.duplicated(["framework", "teacher", "seed"]).any()


@pytest.mark.parametrize("seeds", [1, 3, 5])
def test_what_the_page_shows(seeds: int) -> None:
    alone = students("at", 0.0, seeds)
    frame = pd.concat([students("kd", 0.03, seeds), students("dkd", -0.02, seeds), alone[alone["teacher"] == PLAIN]])
    (said,) = answers(frame, "digits", of=["C9"])
    table = verdicts([said])
    assert table["compared"].tolist()[:2] == ["KD", "DKD"] and table["n"].tolist()[:2] == [str(seeds)] * 2
    assert table["treated − baseline"][0].startswith("+3.00") and table["treated − baseline"][1].startswith("−2.00")
    assert set(table["verdict"]) >= {"not run"} and table["compared"].iloc[-1] == "(2 of 12 run.)"
    line = sentence(said)
    assert f"n = {seeds}" in line and "+3.00" in line and "−2.00" in line
    (rows,) = c09.compared(frame)
    means = page.crossed(rows, "test_accuracy", "framework").set_index("framework")
    assert list(means.index) == ["KD", "AT", "DKD"] and list(means.columns) == ["deterministic", "MCMI"]
    kd = rows[(rows["framework"] == "kd") & (rows["teacher"] == MCMI)]["test_accuracy"]
    assert means.loc["KD", "MCMI"] == with_interval(100 * kd) and pd.isna(means.loc["AT", "MCMI"])
    figure = dots(c09.gains(rows).sort_values("gain", ascending=False), "gain", "framework")
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["KD", "DKD"]


def test_a_teacher_alone_has_no_gain() -> None:
    plain = FRAME[FRAME["teacher"] == PLAIN]
    (rows,) = c09.compared(plain)
    assert c09.gains(rows).empty and c09.by_framework(rows) == {}
    assert {one.verdict for one in judge(c09.CLAIM, c09.effects(plain))} == {Verdict.NOT_RUN}


def test_the_page_on_distillation_leaves_the_entries_out() -> None:
    assert (
        list(of_the_grid(FRAME)) == [] and len(list(of_the_grid(FRAME.assign(label="distilled", run=range(30))))) == 1
    )
