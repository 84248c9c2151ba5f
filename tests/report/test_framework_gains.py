"""The frameworks page: which students are compared, what they gain, and what is said of it."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from kdlib.report import framework_gains
from kdlib.report.claims import Verdict, paired
from kdlib.report.sections import FRAMEWORKS, Section, sections

PLAIN, MCMI = "deterministic", "mcmi"


def students(framework: str, gain: float, seeds: int = 5, **given: object) -> pd.DataFrame:
    """Return students of both teachers, MCMI's better by `gain` and a little noise."""
    rows = []
    for seed in range(seeds):
        for teacher in (PLAIN, MCMI):
            accuracy = 0.5 + 0.01 * seed + (gain + 1e-3 * (seed - seeds // 2)) * (teacher == MCMI)
            rows.append({"framework": framework, "teacher": teacher, "teacher_label": teacher, "seed": seed,
                         "test_accuracy": accuracy, "val_accuracy": accuracy, "epochs": 10, "label": "frameworks",
                         "fraction": 1.0, "temperature": 1.0, "learning_rate": None} | given)  # fmt: skip
    return pd.DataFrame(rows)


FRAME = pd.concat([students("crd", 0.0), students("kd", 0.03), students("at", 0.01)], ignore_index=True)


def test_gains_are_paired_and_in_the_claim_s_order() -> None:
    (rows,) = framework_gains.compared(FRAME)
    table = framework_gains.gains(rows)
    assert list(dict.fromkeys(table["framework"])) == ["kd", "at", "crd"]
    mcmi, plain = (rows[(rows["framework"] == "kd") & (rows["teacher"] == who)] for who in (MCMI, PLAIN))
    one = paired(mcmi["test_accuracy"].to_numpy(), plain["test_accuracy"].to_numpy())
    judged = {found.member: found for found in framework_gains.judged(rows)}
    assert list(judged) == list(framework_gains.CLAIM.treated) and judged["rkd"].verdict is Verdict.NOT_RUN
    assert judged["kd"].effect is not None
    assert (judged["kd"].effect.mean, judged["kd"].effect.low) == pytest.approx((one.mean, one.low))
    assert [judged[name].verdict for name in ("kd", "at", "crd")] == [
        Verdict.SUPPORTED, Verdict.SUPPORTED, Verdict.NOT_SUPPORTED,
    ]  # fmt: skip


def test_only_students_that_were_trained_alike_are_compared() -> None:
    other = students("kd", 0.2, epochs=40, label="distilled")
    few = students("kd", 0.2, fraction=0.1, label="few")
    one_hot = students("kd", 0.0).assign(teacher="one_hot", teacher_label="one_hot")
    (rows,) = framework_gains.compared(pd.concat([other, few, one_hot, FRAME], ignore_index=True))
    assert set(rows["epochs"]) == {10} and set(rows["fraction"]) == {1.0} and len(rows) == len(FRAME)
    # plain students that another entry has made already are those of the framework kd
    (rows,) = framework_gains.compared(
        FRAME.assign(label=FRAME["framework"].map({"kd": "distilled"}).fillna("frameworks"))
    )
    assert set(rows["framework"]) == {"kd", "at", "crd"}
    assert list(framework_gains.compared(other)) == []
    (rows,) = framework_gains.compared(pd.concat([other, students("at", 0.1, epochs=40, label="mine")]))
    assert set(rows["framework"]) == {"kd", "at"}


def test_settings_are_chosen_by_validation_for_each_framework_and_teacher() -> None:
    warm = students("kd", 0.0, temperature=4.0)
    warm["val_accuracy"] += 0.1 * (warm["teacher"] == MCMI)
    warm["test_accuracy"] -= 0.3
    (rows,) = framework_gains.compared(pd.concat([FRAME, warm], ignore_index=True))
    chosen = rows[rows["framework"] == "kd"].groupby("teacher")["temperature"].unique()
    assert (chosen[PLAIN].tolist(), chosen[MCMI].tolist()) == ([1.0], [4.0])
    assert not rows.duplicated(["framework", "teacher", "seed"]).any()


@pytest.mark.parametrize("seeds", [1, 3, 5])
def test_what_the_page_shows(seeds: int) -> None:
    frame = pd.concat([students("kd", 0.03, seeds), students("dkd", -0.02, seeds)], ignore_index=True)
    alone = students("at", 0.0, seeds)
    (rows,) = framework_gains.compared(pd.concat([frame, alone[alone["teacher"] == PLAIN]], ignore_index=True))
    table = framework_gains.verdicts(rows).data
    text = re.sub("<[^>]+>", " ", table)
    assert "KD" in text and "+3.00" in text and "−2.00" in text and "not run" in text
    line = framework_gains.short(Section("s", "Study", "", frame), "digits, cnn8", rows).data
    assert f"n = {seeds}" in line and "KD +3.00" in line and "2 of 12 frameworks run" in line
    figure = framework_gains.drawn(rows)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["KD", "DKD"]


def test_a_teacher_alone_has_no_gain() -> None:
    (rows,) = framework_gains.compared(FRAME[FRAME["teacher"] == PLAIN])
    assert framework_gains.gains(rows).empty and {one.verdict for one in framework_gains.judged(rows)} == {
        Verdict.NOT_RUN
    }


def test_other_pages_leave_the_entries_out(study: str) -> None:
    assert all(
        not part.frame["label"].str.startswith(FRAMEWORKS).any() for part in sections("distillation", "student", study)
    )
