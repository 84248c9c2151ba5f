"""Which students few-shot claims compare. (No torch.)

A study's few-shot students are its entries whose label begins with `fewshot`; those that see all the data may be of
another entry with the same settings. Gains are paired over seeds.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from kdlib.report.choice import FREE, TRAINING, chosen, once, texts
from kdlib.report.claims.students import students_of

BASELINE, TREATED = "deterministic", "mcmi"
AT = 0.05
"""The fraction that C11 is about."""
DECIDES = "steps"
"""The protocol that the verdicts rest on: that of the paper whose claims they are."""
PROTOCOLS = {
    "steps": "as many steps as with all the data (MCMI)",
    "epochs": "as many passes over the subset (Bayesian-KD)",
}


def compared(students: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield the students of a framework: a row a teacher label, fraction, `protocol` and seed, trained alike.

    Students that see all the data stand under every protocol, if some that see less share their kd_weight, T and S.
    Where there are several of these, those of the highest mean validation accuracy at that fraction.
    """
    if students.empty:
        return
    frame = students.reset_index(drop=True)
    begins, whole = frame["label"].astype(str).str.startswith("fewshot"), frame["fraction"] == 1
    own = (begins if begins.any() else ~whole) & ~whole
    alike = [name for name in TRAINING if name not in ("fraction", "match")]
    group = texts(frame, [*alike, "framework", "framework_weight"])
    key = texts(frame, ["teacher_label", *FREE, "samples"])
    for one in dict.fromkeys(group[own]):
        tables = []
        for protocol in PROTOCOLS:
            few = own & (group == one) & (frame["match"] == protocol)
            full = whole & (group == one) & key.isin(key[few])
            tables.append(frame[few | full].assign(protocol=protocol))
        rows = chosen(pd.concat(tables, ignore_index=True), by=("teacher_label", "fraction", "protocol"))
        yield rows.assign(percent=100 * rows["fraction"])


@once
def of_study(frame: pd.DataFrame) -> tuple[pd.DataFrame, ...]:
    """Return the students of a study's rows that C7 and C11 compare."""
    return tuple(compared(students_of(frame)))


def deciding(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the students of the protocol that decides; of a study that follows the other one alone, those."""
    own = rows[rows["protocol"] == DECIDES]
    return own if len(own) else rows


def gains(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the gain of each student over that of the deterministic teacher of the same seed, fraction and protocol.

    Columns: teacher_label, fraction, percent, protocol, seed, gain (of test accuracy).
    """
    keys = ["protocol", "fraction", "percent", "seed"]
    own = rows["teacher_label"] == BASELINE
    plain = rows.loc[own, [*keys, "test_accuracy"]]
    both = rows[~own].merge(plain, on=keys, suffixes=("", "_plain"))
    return both.assign(gain=both["test_accuracy"] - both["test_accuracy_plain"])[["teacher_label", *keys, "gain"]]


def of_mcmi(rows: pd.DataFrame, protocol: str = DECIDES) -> pd.DataFrame:
    """Return MCMI's gains under one protocol: a row a seed, a column a fraction, in ascending order."""
    table = gains(rows[rows["protocol"] == protocol])
    return table[table["teacher_label"] == TREATED].pivot(index="seed", columns="fraction", values="gain")
