"""The few-shot page: which students are compared, what they gain at each fraction, and the published trials."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kdlib.report import fewshot
from kdlib.report.claims import Verdict, judge, paired
from kdlib.report.sections import Section

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
    ((framework, rows),) = fewshot.compared(pd.concat([frame, *other], ignore_index=True))
    assert framework == "kd"
    counts = rows.groupby(["protocol", "fraction", "teacher_label"]).size()
    assert set(counts) == {5} and len(counts) == 2 * 3 * 3
    assert not rows.duplicated(["protocol", "fraction", "teacher_label", "seed"]).any()


def test_effects_are_differences_and_differences_of_differences_in_pairs() -> None:
    frame = table(GAINS)
    found = fewshot.effects(frame)
    plain, mcmi = ({f: frame[(frame["teacher"] == who) & (frame["fraction"] == f) & (frame["match"] == "steps")]
                    ["test_accuracy"].to_numpy() for f in FRACTIONS} for who in ("deterministic", "mcmi"))  # fmt: skip
    at = paired(mcmi[0.05], plain[0.05])
    larger = paired(mcmi[0.05] - plain[0.05], mcmi[1.0] - plain[1.0])
    for claim, by_hand in (("C11", at), ("C7", larger)):
        one = found[claim]["mcmi"]
        assert one is not None
        assert (one.mean, one.low, one.high, one.n) == pytest.approx((by_hand.mean, by_hand.low, by_hand.high, 5))
    assert at.mean == pytest.approx(0.04, abs=0.004) and larger.mean == pytest.approx(0.03, abs=0.004)
    both = (judge(claim, found[claim.id])[0].verdict for claim in (fewshot.SMALL, fewshot.LARGER))
    assert list(both) == [Verdict.SUPPORTED, Verdict.SUPPORTED]


def test_what_was_not_run_has_no_effect() -> None:
    frame = table(GAINS)
    few = frame[frame["fraction"] < 1]
    assert [bool(fewshot.effects(few)[name]["mcmi"]) for name in ("C7", "C11")] == [False, True]
    half_way = frame[(frame["fraction"] > 0.05) | (frame["teacher"] != "mcmi")]
    assert fewshot.effects(half_way) == {"C7": {"mcmi": None}, "C11": {"mcmi": None}}, "the fewest are still to come"
    more = frame[frame["fraction"] > 0.05]
    assert [bool(fewshot.effects(more)[name]["mcmi"]) for name in ("C7", "C11")] == [True, False]
    nothing = {"C7": {"mcmi": None}, "C11": {"mcmi": None}}
    for part in (
        frame[frame["match"] == "epochs"],
        frame[frame["fraction"] == 1],
        frame[frame["teacher"] != "mcmi"],
        frame[frame["teacher"] != "deterministic"],
        frame.assign(run_type="teacher"),
    ):
        assert fewshot.effects(part) == nothing
    lacking = frame[~((frame["seed"] == 1) & (frame["fraction"] == 1) & (frame["teacher"] == "mcmi"))]
    larger, small = (fewshot.effects(lacking)[name]["mcmi"] for name in ("C7", "C11"))
    assert larger is not None and small is not None and (larger.n, small.n) == (4, 5)


def test_settings_are_chosen_at_each_fraction_and_within_a_protocol() -> None:
    warm: dict[str, Any] = {"temperature": 4.0, "student_temperature": 4.0, "kd_weight": 0.9, "label": "fewshot_warm"}
    better = [students("mcmi", 0.05, 0.2, **warm), students("mcmi", 0.25, -0.2, **warm),
              students("mcmi", 1.0, 0.3, **warm)]  # fmt: skip
    ((_, rows),) = fewshot.compared(pd.concat([table(GAINS), *better], ignore_index=True))
    mcmi = rows[rows["teacher"] == "mcmi"].groupby(["protocol", "fraction"])["temperature"].unique().map(list)
    assert mcmi["steps"].to_dict() == {0.05: [4.0], 0.25: [1.0], 1.0: [4.0]}
    assert mcmi["epochs"].to_dict() == {0.05: [1.0], 0.25: [1.0], 1.0: [1.0]}
    shown = fewshot.accuracy_table(rows).data
    assert shown.count("<small>T 4</small>") == 2 and "<small>T 1</small>" in shown, "S and α differ with T"
    other = students("mcmi", 0.05, 0.3, temperature=4.0)
    ((_, rows),) = fewshot.compared(pd.concat([table(GAINS), *better, other], ignore_index=True))
    assert fewshot.accuracy_table(rows).data.count("<small>T 4, S 1</small>") == 1
    # one that is better on test images alone is not chosen
    lucky = students("mcmi", 0.05, 0.0, **warm).assign(val_accuracy=0.0, test_accuracy=1.0)
    assert fewshot.effects(pd.concat([table(GAINS), lucky], ignore_index=True)) == fewshot.effects(table(GAINS))


def test_other_trainings_and_frameworks_are_tables_of_their_own() -> None:
    crd = table({0.05: -0.1, 0.25: 0.0, 1.0: 0.0}).assign(framework="crd")
    crd = crd.assign(run=crd["run"] + "-crd")
    small = table(GAINS).assign(architecture="cnn4")
    small = small.assign(run=small["run"] + "-cnn4", teacher_label=small["teacher_label"] + "_of_cnn4")
    frame = pd.concat([table(GAINS), crd, small], ignore_index=True)
    found = list(fewshot.compared(frame))
    assert [framework for framework, _ in found] == ["kd", "crd", "kd"]
    assert fewshot.effects(frame) == fewshot.effects(table(GAINS)), "the first that measures it"
    assert fewshot.effects(small) == {"C7": {"mcmi": None}, "C11": {"mcmi": None}}, "other labels enter no verdict"


def test_chosen_runs_have_no_entry_to_be_known_by() -> None:
    frame = table(GAINS).assign(label="mcmi")
    assert fewshot.effects(frame) == fewshot.effects(table(GAINS))


@pytest.mark.parametrize("seeds", [1, 3, 5])
def test_what_the_page_shows(seeds: int) -> None:
    ((_, rows),) = fewshot.compared(table(GAINS, seeds))
    figure = fewshot.accuracies(rows)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        f"test accuracy (%), {name}" for name in fewshot.PROTOCOLS.values()
    ]
    figure = fewshot.gained(rows)
    assert len(figure.axes) == 3 and "published" in figure.axes[2].get_title(loc="left")
    ticks = [text.get_text() for text in figure.axes[2].get_xticklabels()]
    assert ticks == ["5", "10", "25", "50", "75", "100"], "single trials below our fractions are in the table alone"
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    n = f" (n = {seeds})" if seeds > 1 else ""
    assert legend == [f"one-hot{n}", f"MCMI{n}", "published KD", "published CRD"]
    text = re.sub("<[^>]+>", " ", fewshot.gain_table(rows).data)
    assert text.count(f"n = {seeds}") == 2 * 3 * 2 and "−10." in text and "+4." in text
    line = fewshot.short(Section("s", "Study", "", rows), "digits, cnn8", rows).data
    assert line.startswith("**Study** (digits, cnn8; ") and line.count("by passes over the subset") == 2
    said = "supported" if seeds >= 5 else "inconclusive"
    assert f"C11: {said}" in line and f"C7: {said}" in line


def test_the_published_trials_agree_with_themselves() -> None:
    for trial in fewshot.PUBLISHED:
        assert trial.gain == pytest.approx(trial.mcmi[0] - trial.plain[0], abs=0.0151), "two roundings apart"
        assert (trial.trials == 1) == (trial.plain[1] == trial.mcmi[1] == 0)
    assert max(trial.gain for trial in fewshot.PUBLISHED) == 5.72
    shown = fewshot.published_table().data
    assert shown.count("<tr>") == 1 + 14 and "<td>−0.37</td>" in shown and "58.02 ± 0.43" in shown
