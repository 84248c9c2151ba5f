"""The few-shot page: which students are compared, what they gain at each fraction, and the published trials."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from kdlib.report import published
from kdlib.report.claims import c07, c11, fewshot
from kdlib.report.claims.rules import Verdict, judge
from kdlib.report.draw import lines
from kdlib.report.inference import Effect, paired

FRACTIONS = (0.05, 0.25, 1.0)
TRAINED: dict[str, Any] = {"architecture": "cnn8", "epochs": 10, "framework": "kd", "samples": 1.0,
                           "run_type": "student", "dataset": "digits"}  # fmt: skip


def students(
    teacher: str, fraction: float, gain: float = 0.0, match: str = "steps", seeds: int = 5, **given: Any
) -> pd.DataFrame:
    """Return one student a seed; `gain` raises their accuracy, by a little more or less in each seed."""
    rows = []
    for seed in range(seeds):
        accuracy = 0.5 + 0.1 * np.log10(fraction) + 0.01 * seed + gain * (1 + 0.1 * np.sin(seed + 10 * fraction))
        label = "fewshot" if fraction < 1 else "distilled"
        row = {**TRAINED, "teacher": teacher, "teacher_label": teacher, "label": label, "seed": seed, "match": match,
               "fraction": fraction, "kd_weight": 1.0, "temperature": 1.0, "student_temperature": 1.0,
               "test_accuracy": accuracy, "val_accuracy": accuracy, **given}  # fmt: skip
        rows.append({**row, "run": "-".join(map(str, row.values()))})
    return pd.DataFrame(rows)


def table(gains: dict[float, float], seeds: int = 5) -> pd.DataFrame:
    """Return a study of both protocols; MCMI gains as given by `steps`, half of it by `epochs`."""
    labels: dict[str, Any] = {"kd_weight": None, "temperature": None, "student_temperature": None}
    parts = []
    for fraction in FRACTIONS:
        for match, share in (("steps", 1.0), ("epochs", 0.5)) if fraction < 1 else (("steps", 1.0),):
            parts += [
                students("one_hot", fraction, -0.1, match, seeds, **labels),
                students("deterministic", fraction, 0.0, match, seeds),
                students("mcmi", fraction, share * gains[fraction], match, seeds),
            ]
    return pd.concat(parts, ignore_index=True)


GAINS = {0.05: 0.04, 0.25: 0.02, 1.0: 0.01}


def test_students_with_all_the_data_stand_under_both_protocols() -> None:
    frame = table(GAINS)
    other = [students("mcmi", 1.0, 0.3, temperature=2.0), students("mcmi", 1.0, 0.3, epochs=99),
             students("mcmi", 1.0, 0.3, omit_classes="3"), students("laplace", 1.0, 0.3),
             students("mcmi", 1.0, 0.3, samples=4.0)]  # fmt: skip
    (rows,) = fewshot.compared(pd.concat([frame, *other], ignore_index=True))
    assert set(rows["framework"]) == {"kd"}
    counts = rows.groupby(["protocol", "fraction", "teacher_label"]).size()
    assert set(counts) == {5} and len(counts) == 2 * 3 * 3
    assert not rows.duplicated(["protocol", "fraction", "teacher_label", "seed"]).any()


def effects(frame: pd.DataFrame) -> dict[str, Effect | None]:
    """Return what is measured for MCMI by each claim of the page."""
    return {claim.id: claim.effects(frame)["mcmi"] for claim in (c07.CLAIM, c11.CLAIM)}


NOTHING = {"C7": None, "C11": None}


def test_effects_are_differences_and_differences_of_differences_in_pairs() -> None:
    frame = table(GAINS)
    found = effects(frame)
    plain, mcmi = ({f: frame[(frame["teacher"] == who) & (frame["fraction"] == f) & (frame["match"] == "steps")]
                    ["test_accuracy"].to_numpy() for f in FRACTIONS} for who in ("deterministic", "mcmi"))  # fmt: skip
    at = paired(mcmi[0.05], plain[0.05])
    larger = paired(mcmi[0.05] - plain[0.05], mcmi[1.0] - plain[1.0])
    for claim, by_hand in (("C11", at), ("C7", larger)):
        one = found[claim]
        assert one is not None
        assert (one.mean, one.low, one.high, one.n) == pytest.approx((by_hand.mean, by_hand.low, by_hand.high, 5))
    assert at.mean == pytest.approx(0.04, abs=0.004) and larger.mean == pytest.approx(0.03, abs=0.004)
    both = (judge(claim, {"mcmi": found[claim.id]})[0].verdict for claim in (c11.CLAIM, c07.CLAIM))
    assert list(both) == [Verdict.SUPPORTED, Verdict.SUPPORTED]


def test_what_was_not_run_has_no_effect() -> None:
    frame = table(GAINS)
    few = frame[frame["fraction"] < 1]
    assert [bool(effects(few)[name]) for name in ("C7", "C11")] == [False, True]
    half_way = frame[(frame["fraction"] > 0.05) | (frame["teacher"] != "mcmi")]
    assert effects(half_way) == NOTHING, "the fewest are still to come"
    more = frame[frame["fraction"] > 0.05]
    assert [bool(effects(more)[name]) for name in ("C7", "C11")] == [True, False]
    for part in (
        frame[frame["match"] == "epochs"],
        frame[frame["fraction"] == 1],
        frame[frame["teacher"] != "mcmi"],
        frame[frame["teacher"] != "deterministic"],
        frame.assign(run_type="teacher"),
    ):
        assert effects(part) == NOTHING
    lacking = frame[~((frame["seed"] == 1) & (frame["fraction"] == 1) & (frame["teacher"] == "mcmi"))]
    larger, small = (effects(lacking)[name] for name in ("C7", "C11"))
    assert larger is not None and small is not None and (larger.n, small.n) == (4, 5)


def test_settings_are_chosen_at_each_fraction_and_within_a_protocol() -> None:
    warm: dict[str, Any] = {"temperature": 4.0, "student_temperature": 4.0, "kd_weight": 0.9, "label": "fewshot_warm"}
    better = [students("mcmi", 0.05, 0.2, **warm), students("mcmi", 0.25, -0.2, **warm),
              students("mcmi", 1.0, 0.3, **warm)]  # fmt: skip
    (rows,) = fewshot.compared(pd.concat([table(GAINS), *better], ignore_index=True))
    mcmi = rows[rows["teacher"] == "mcmi"].groupby(["protocol", "fraction"])["temperature"].unique().map(list)
    assert mcmi["steps"].to_dict() == {0.05: [4.0], 0.25: [1.0], 1.0: [4.0]}
    assert mcmi["epochs"].to_dict() == {0.05: [1.0], 0.25: [1.0], 1.0: [1.0]}
    # one that is better on test images alone is not chosen
    lucky = students("mcmi", 0.05, 0.0, **warm).assign(val_accuracy=0.0, test_accuracy=1.0)
    assert effects(pd.concat([table(GAINS), lucky], ignore_index=True)) == effects(table(GAINS))


def test_other_trainings_and_frameworks_are_tables_of_their_own() -> None:
    crd = table({0.05: -0.1, 0.25: 0.0, 1.0: 0.0}).assign(framework="crd")
    crd = crd.assign(run=crd["run"] + "-crd")
    small = table(GAINS).assign(architecture="cnn4")
    small = small.assign(run=small["run"] + "-cnn4", teacher_label=small["teacher_label"] + "_of_cnn4")
    frame = pd.concat([table(GAINS), crd, small], ignore_index=True)
    found = list(fewshot.compared(frame))
    assert [set(rows["framework"]) for rows in found] == [{"kd"}, {"crd"}, {"kd"}]
    assert effects(frame) == effects(table(GAINS)), "the first that measures it"
    assert effects(small) == NOTHING, "other labels enter no verdict"


def test_chosen_runs_have_no_entry_to_be_known_by() -> None:
    frame = table(GAINS).assign(label="mcmi")
    assert effects(frame) == effects(table(GAINS))


def test_the_published_trials_agree_with_themselves() -> None:
    for trial in published.TRIALS.itertuples():
        assert trial.gain == pytest.approx(trial.mcmi - trial.plain, abs=0.0151), "two roundings apart"
        assert (trial.trials == 1) == (trial.plain_sd == trial.mcmi_sd == 0)
    assert published.TRIALS["gain"].max() == 5.72
    shown = published.table()
    assert len(shown) == 14 and "−0.37" in set(shown["gain"]) and "58.02 ± 0.43" in set(shown["MCMI"])


def test_single_trials_below_our_fractions_are_in_the_table_alone() -> None:
    (rows,) = fewshot.compared(table(GAINS))
    gains = fewshot.gains(rows).query("teacher_label == 'mcmi'")
    drawn = lines(gains, "percent", ["gain"], "protocol")
    ours = len(drawn.axes[0].lines)
    published.beside(drawn.axes[0], gains["percent"].min())
    kd, crd = drawn.axes[0].lines[ours:]
    assert np.array([kd.get_xdata(), crd.get_xdata()]).tolist() == 2 * [[5, 10, 25, 50, 75]]
    assert np.array(kd.get_ydata()).tolist() == [5.72, 3.62, 1.24, 0.58, 0.15]
    assert {text.get_text() for text in drawn.axes[0].texts} >= {"published, KD", "published, CRD"}
